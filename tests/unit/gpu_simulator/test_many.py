"""Thousands of GPUs in one process, and their nodes as API objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labs.embedded.control_plane import NODE_LOST_AFTER
from labs.pods.gpu_simulator import virtual_nodes
from labs.pods.gpu_simulator.many_nodes import STEP, ManyNodes
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.virtual_nodes import LABEL, LEASES, VirtualNodes
from labs.wire.kube_api import ApiError, KubeApi

H100 = profile_of("NVIDIA-H100-80GB-HBM3")


async def after(seconds: float, seed: int = 1) -> str:
    """The page of 3 nodes with 2 GPUs each, some time after their start."""
    clock = SimpleNamespace(now=0.0)
    many = ManyNodes("fleet", 3, 2, H100, lambda: clock.now, seed)
    for _ in range(round(seconds / STEP)):
        for fleet in many.fleets:
            many.advance(fleet)
        clock.now += STEP
    for fleet in many.fleets:
        many.advance(fleet)
    return b"".join([part async for part in many.page()]).decode()


async def test_one_page_has_all_gpus_and_each_metric_once() -> None:
    page = await after(60)
    families = {family.name: family for family in text_string_to_metric_families(page)}
    busy = {(s.labels["hostname"], s.labels["gpu"]): s.value for s in families["DCGM_FI_DEV_GPU_UTIL"].samples}
    assert len(busy) == 6 and ("fleet-0002", "1") in busy
    assert len(set(busy.values())) > 3, "each GPU has a load of its own"
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
        self.down = False

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        if self.down:
            raise TimeoutError
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


async def test_nodes_have_gpus_and_a_taint_and_go_again() -> None:
    api = FakeApi()
    nodes = VirtualNodes(api, ["fleet-0000", "fleet-0001"], {"nvidia.com/gpu.product": H100.product}, 8)
    await nodes.create()
    node = api.objects["/api/v1/nodes/fleet-0001"]
    assert node["metadata"]["labels"][LABEL] == "true" and node["spec"]["taints"][0]["effect"] == "NoSchedule"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert not [path for path in api.objects if path.endswith("/status")], "one call makes a node"
    await nodes.create()
    assert api.objects["/api/v1/nodes/fleet-0001/status"]["status"]["conditions"][0]["status"] == "True", "Ready once more"
    await nodes.remove()
    await nodes.remove()
    assert set(api.objects) == {f"/api/v1/nodes/{name}/status" for name in ("fleet-0000", "fleet-0001")}


async def test_nodes_that_are_there_have_a_heartbeat_while_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_nodes, "HEARTBEAT", 0.02)
    monkeypatch.setattr(virtual_nodes, "LOOK", 0.005)
    api = FakeApi()
    nodes = VirtualNodes(api, ["fleet-0000", "fleet-0001"], {}, 8)
    heartbeats = asyncio.create_task(nodes.run())
    await nodes._create("fleet-0000")
    path = f"/apis/{LEASES.rpartition('/')[0]}/namespaces/kube-node-lease/leases/fleet-0000"

    def renewed() -> str:
        return str(api.objects[path]["spec"].get("renewTime"))

    first = renewed()
    await _until(lambda: renewed() != first)
    api.down = True
    await asyncio.sleep(0.05)
    api.down = False
    silent = renewed()
    await _until(lambda: renewed() != silent)
    assert not heartbeats.done(), "an API server that is away for a while ends nothing"
    assert not [path for path in api.objects if "fleet-0001" in path], "one that is not there has none"
    heartbeats.cancel()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def test_a_lost_heartbeat_is_no_lost_node() -> None:
    assert 2 * virtual_nodes.HEARTBEAT < NODE_LOST_AFTER


async def test_what_the_api_server_refuses_is_not_hidden() -> None:
    api = FakeApi()
    api.denied = True
    with pytest.raises(ExceptionGroup):
        await VirtualNodes(api, ["fleet-0000"], {}, 8).create()
