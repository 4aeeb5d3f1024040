"""The GPUs of a node: identity, time, labels."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labs.pods.gpu_simulator.faults import FAULTS, UnknownFault, fault_of
from labs.pods.gpu_simulator.fleet import MAX_STEPS, Fleet, UnknownGpu, gpu_uuid
from labs.pods.gpu_simulator.inventory import Inventory, from_labels
from labs.pods.gpu_simulator.part import STEP

FALLBACK = Inventory("NVIDIA-A100-SXM4-80GB", 4)


def test_uuids_last_and_differ() -> None:
    assert gpu_uuid("gpu-worker", 0) == gpu_uuid("gpu-worker", 0)
    names = {gpu_uuid(node, index) for node in ("gpu-worker", "gpu-worker2") for index in range(4)}
    assert len(names) == 8
    assert all(name.startswith("GPU-") and len(name) == 40 for name in names)


def test_time_passes_in_whole_steps(fleet: Fleet, clock: SimpleNamespace) -> None:
    for _ in range(7):
        clock.now += 0.25
        fleet.advance()
    assert fleet.gpus[0].time == pytest.approx(1.7)


def test_a_long_pause_is_made_good_in_part(fleet: Fleet, clock: SimpleNamespace) -> None:
    clock.now += 86_400
    fleet.advance()
    assert fleet.gpus[0].time == pytest.approx(MAX_STEPS * STEP)
    clock.now += 1
    fleet.advance()
    assert fleet.gpus[0].time == pytest.approx(MAX_STEPS * STEP + 1)


def test_gpus_are_found_by_index_and_uuid(fleet: Fleet) -> None:
    assert fleet.find("2") is fleet.find(fleet.gpus[2].uuid) is fleet.gpus[2]
    with pytest.raises(UnknownGpu, match="0 to 3"):
        fleet.find("4")


def test_listeners_hear_of_every_change(fleet: Fleet) -> None:
    heard: list[list[str]] = []
    fleet.on_change.append(lambda: heard.append(list(fleet.gpus[0].faults)))
    fleet.inject(fleet.gpus[0], FAULTS["overheat"])
    fleet.inject(fleet.gpus[0], FAULTS["xid79"])
    fleet.heal(fleet.gpus[0], FAULTS["overheat"])
    assert heard == [["overheat"], ["overheat", "xid79"], ["xid79"]]


def test_a_fault_of_the_node_is_on_every_gpu(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[2], FAULTS["driver-mismatch"])
    assert all("driver-mismatch" in gpu.faults for gpu in fleet.gpus)
    fleet.heal(fleet.gpus[0], FAULTS["driver-mismatch"])
    assert not any(gpu.faults for gpu in fleet.gpus)


def test_an_unknown_fault_lists_the_known() -> None:
    with pytest.raises(UnknownFault, match="overheat, power-cap"):
        fault_of("meltdown")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.count": "2"}, Inventory("Tesla-T4", 2)),
        ({"nvidia.com/gpu.product": "Tesla-T4"}, Inventory("Tesla-T4", 4)),
        ({"nvidia.com/gpu.count": "many"}, FALLBACK),
    ],
)
def test_labels_say_what_a_node_has(labels: dict[str, str], expected: Inventory) -> None:
    assert from_labels({"metadata": {"name": "n", "labels": labels}}, FALLBACK) == expected


def test_a_node_without_labels_has_the_fallback() -> None:
    assert from_labels({"metadata": {"name": "n"}}, FALLBACK) == FALLBACK
