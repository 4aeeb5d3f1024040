"""The faults against a running lab: what each layer shows, and that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs import kube
from labs.course.notebook_lab import open_lab
from labs.errors import NotFound
from labs.faults.catalogue import catalogue
from labs.faults.symptoms import is_present
from labs.lab import Lab
from labs.paths import Paths
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
GPU = {"gpu": 1, "node": "gpu-worker"}
SERIES = '{hostname="gpu-worker",gpu="1"}'


@pytest.fixture(scope="module")
def lab(lab_up: None) -> Iterator[Lab]:
    lab = open_lab()
    lab.gpu.apply("clusters/manifests/gpu-simulator")
    lab.gpu.apply(Paths.current().state / "manifests" / "prometheus-gpu")
    kube.wait(lab.gpu.api, "DaemonSet", "gpu-simulator", "gpu-system", kube.rolled_out, timeout=60)
    kube.wait(lab.gpu.api, "Deployment", "prometheus", "monitoring", kube.rolled_out, timeout=120)
    lab.wait_until(f"DCGM_FI_DEV_GPU_TEMP{SERIES} < 60", cluster="gpu", timeout=60)
    yield lab
    lab.heal()


def test_an_overheated_gpu_is_hot_and_cools_down_when_healed(lab: Lab) -> None:
    with lab.fault("gpu-overheat", **GPU):
        lab.wait_until(f"DCGM_FI_DEV_GPU_TEMP{SERIES} > 80", cluster="gpu", timeout=30)
    lab.wait_until(f"DCGM_FI_DEV_GPU_TEMP{SERIES} < 80", cluster="gpu", timeout=60)
    assert not lab.active_faults()


def test_a_lost_gpu_is_reported_and_no_longer_allocatable_until_healed(lab: Lab) -> None:
    def offers(gpus: int) -> kube.Condition:
        def look(node: kube.Object | None) -> str | None:
            found = (node or {}).get("status", {}).get("allocatable", {}).get("nvidia.com/gpu")
            return None if found == str(gpus) else f"allocatable is {found}, not {gpus}"

        return look

    with pytest.raises(RuntimeError, match="cell"), lab.fault("gpu-xid79", **GPU):
        lab.wait_until(f"DCGM_FI_DEV_XID_ERRORS{SERIES} == 79", cluster="gpu", timeout=20)
        kube.wait(lab.gpu.api, "Node", "gpu-worker", None, offers(3), timeout=30)
        raise RuntimeError("the cell fails")
    kube.wait(lab.gpu.api, "Node", "gpu-worker", None, offers(4), timeout=30)
    assert not lab.active_faults()


@pytest.mark.catalogue
@pytest.mark.parametrize("name", ["node-lost", "admission-storm"])
def test_two_of_the_catalogue_show_their_sign_and_leave_none(lab: Lab, name: str) -> None:
    def shows() -> bool:
        return is_present(lab, catalogue()[name].symptom)

    assert not shows()
    with lab.fault(name):
        eventually(shows)
    eventually(lambda: not shows())
    assert not lab.active_faults()


def test_a_fault_that_does_not_exist_lists_those_that_do(lab: Lab) -> None:
    with pytest.raises(NotFound, match=r"gateway-down, .*gpu-overheat, gpu-xid79"):
        lab.fault("gpu-on-fire")
