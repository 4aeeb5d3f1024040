"""The metrics page, read by Prometheus' own parser."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from labs.pods.gpu_simulator.attribution import Holder, holders_in
from labs.pods.gpu_simulator.exporter import render
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fields import FIELDS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.profile import profile_of
from labs.wire.deviceplugin import podresources_pb2 as pb
from labs.wire.gpu_work import Work

WATCHES = 7
"""Series of a GPU's health."""


def series(page: str) -> dict[tuple[str, str], float]:
    """Value by (name, gpu index)."""
    families = text_string_to_metric_families(page)
    return {(sample.name, sample.labels["gpu"]): float(sample.value) for family in families for sample in family.samples}


def test_every_field_of_every_gpu_has_its_labels(fleet: Fleet) -> None:
    page = render(fleet, {fleet.gpus[1].uuid: [Holder("model-0", "ml", "server")]})
    assert len(series(page)) == (len(FIELDS) + 1) * 4
    line = next(line for line in page.splitlines() if line.startswith("DCGM_FI_DEV_GPU_UTIL") and 'gpu="1"' in line)
    for label in (
        f'UUID="{fleet.gpus[1].uuid}"',
        'hostname="gpu-worker"',
        'modelName="NVIDIA A100-SXM4-80GB"',
        'device="nvidia1"',
    ):
        assert label in line
    assert 'container="server",namespace="ml",pod="model-0"' in line
    assert page.count('pod="model-0"') == len(FIELDS) + WATCHES


def test_counters_keep_dcgm_names(fleet: Fleet) -> None:
    page = render(fleet, {})
    assert "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n" in page
    assert "_total{" not in page


def test_metrics_move_with_work(fleet: Fleet, clock: SimpleNamespace) -> None:
    before = series(render(fleet, {}))
    for _ in range(100):
        fleet.advance()
        fleet.gpus[0].report(Work("model-0", 200, 20, 16_000_000_000, 10**9, 4, 0.1))
        clock.now += 0.1
    after = series(render(fleet, {}))
    for name in (
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_SM_CLOCK",
    ):
        assert after[name, "0"] > before[name, "0"]
        assert after[name, "1"] == before[name, "1"]
    assert after["DCGM_FI_DEV_FB_FREE", "0"] < before["DCGM_FI_DEV_FB_FREE", "0"]


def test_of_a_lost_gpu_only_the_xid_is_left(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[2], FAULTS["xid79"])
    page = series(render(fleet, {}))
    assert {name: value for (name, gpu), value in page.items() if gpu == "2"} == {
        "DCGM_FI_DEV_XID_ERRORS": 79,
        "DCGM_EXP_XID_ERRORS_COUNT": 1,
    }
    assert page["DCGM_FI_DEV_XID_ERRORS", "0"] == 0
    fleet.heal(fleet.gpus[2], FAULTS["xid79"])
    assert len(series(render(fleet, {}))) == (len(FIELDS) + 1) * 4 + 1, "the XID of the last five minutes is remembered"


def test_a_gpu_without_a_memory_sensor_has_no_memory_temperature(clock: SimpleNamespace) -> None:
    page = render(Fleet.of("n", profile_of("Tesla-T4"), 1, lambda: clock.now), {})
    assert "DCGM_FI_DEV_MEMORY_TEMP" not in page
    assert "DCGM_FI_DEV_GPU_TEMP" in page


def test_holders_are_read_from_entries_of_one_device_or_several() -> None:
    devices = [pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=["a", "b"])]
    devices += [pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=["c"])]
    devices += [pb.ContainerDevices(resource_name="example.com/nic", device_ids=["d"])]
    pod = pb.PodResources(name="p", namespace="ns", containers=[pb.ContainerResources(name="c", devices=devices)])
    assert holders_in(pb.ListPodResourcesResponse(pod_resources=[pod])) == {name: [Holder("p", "ns", "c")] for name in "abc"}
