"""Thousands of cards in one process, and their nodes as API objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labs.pods.gpu_simulator.many_nodes import STEP, ManyNodes
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.virtual_nodes import LABEL, VirtualNodes
from labs.wire.kube_api import ApiError, KubeApi

H100 = profile_of("NVIDIA-H100-80GB-HBM3")


async def after(seconds: float, seed: int = 1) -> str:
    """The page of 3 nodes with 2 cards each, some time after their start."""
    clock = SimpleNamespace(now=0.0)
    many = ManyNodes("fleet", 3, 2, H100, lambda: clock.now, seed)
    for _ in range(round(seconds / STEP)):
        for fleet in many.fleets:
            many.advance(fleet)
        clock.now += STEP
    for fleet in many.fleets:
        many.advance(fleet)
    return b"".join([part async for part in many.page()]).decode()


async def test_one_page_has_all_cards_and_each_metric_once() -> None:
    page = await after(60)
    families = {family.name: family for family in text_string_to_metric_families(page)}
    busy = {(s.labels["hostname"], s.labels["gpu"]): s.value for s in families["DCGM_FI_DEV_GPU_UTIL"].samples}
    assert len(busy) == 6 and ("fleet-0002", "1") in busy
    assert len(set(busy.values())) > 3, "each card has a load of its own"
    assert page.count("# TYPE DCGM_FI_DEV_GPU_UTIL ") == 1


async def test_power_and_heat_follow_the_load() -> None:
    families = {family.name: family for family in text_string_to_metric_families(await after(120))}

    def of(name: str) -> list[float]:
        return [sample.value for sample in families[name].samples]

    busy, watts, heat = of("DCGM_FI_DEV_GPU_UTIL"), of("DCGM_FI_DEV_POWER_USAGE"), of("DCGM_FI_DEV_GPU_TEMP")
    most, least = busy.index(max(busy)), busy.index(min(busy))
    assert watts[most] > watts[least] + 50 and heat[most] > heat[least]


async def test_the_seed_decides() -> None:
    assert await after(20) == await after(20)
    assert await after(20) != await after(20, seed=2)


class FakeApi(KubeApi):
    """Remembers the objects; ``denied`` answers 403 to every creation."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.denied = False

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if self.denied:
                raise ApiError(403, "Forbidden", "no")
            if path in self.objects:
                raise ApiError(409, "AlreadyExists", "there is one")
            self.objects[path] = body
        elif method == "DELETE":
            if path not in self.objects:
                raise ApiError(404, "NotFound", "none")
            del self.objects[path]
        else:
            self.objects.setdefault(path, {}).update(body)
        return {}


async def test_nodes_have_cards_a_heartbeat_and_a_taint_and_go_again() -> None:
    api = FakeApi()
    nodes = VirtualNodes(api, ["fleet-0000", "fleet-0001"], {"nvidia.com/gpu.product": H100.product}, 8)
    await nodes.create()
    await nodes.create()
    node = api.objects["/api/v1/nodes/fleet-0001"]
    assert node["metadata"]["labels"][LABEL] == "true" and node["spec"]["taints"][0]["effect"] == "NoSchedule"
    assert api.objects["/api/v1/nodes/fleet-0001/status"]["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    await nodes._renew("fleet-0000")
    lease = api.objects["/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/fleet-0000"]
    assert lease["spec"]["renewTime"].endswith("Z")
    await nodes.remove()
    await nodes.remove()
    assert set(api.objects) == {f"/api/v1/nodes/{name}/status" for name in ("fleet-0000", "fleet-0001")}


async def test_what_the_api_server_refuses_is_not_hidden() -> None:
    api = FakeApi()
    api.denied = True
    with pytest.raises(ExceptionGroup):
        await VirtualNodes(api, ["fleet-0000"], {}, 8).create()
