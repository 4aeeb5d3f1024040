"""The Node object and its heartbeat, against an API server played by a dictionary."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from labs.embedded.node import node_object, node_status
from labs.embedded.node.devices import Devices
from labs.embedded.node.model import find_node
from labs.embedded.node.node_status import NodeStatus
from labs.wire.kube_api import ApiError, KubeApi

GPU_NODE = find_node("gpu", "gpu-worker")
NOW, LATER = "2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"


class FakeApi(KubeApi):
    """Keeps objects by name; patches merge at the top level of ``metadata``, ``spec`` and ``status``."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []

    async def create(self, resource: str, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if resource in self.objects:
            raise ApiError(409, "AlreadyExists", f"{resource} already exists")
        self.writes.append(f"create {resource}")
        self.objects[resource] = copy.deepcopy(body)
        self.objects[resource]["metadata"]["uid"] = "u"
        return self.objects[resource]

    async def get(self, resource: str, namespace: str | None, name: str) -> dict[str, Any]:
        if resource not in self.objects:
            raise ApiError(404, "NotFound", f"{resource} not found")
        return copy.deepcopy(self.objects[resource])

    async def patch(
        self, resource: str, namespace: str | None, name: str, body: Any, *, sub: str | None = None, content_type: str = ""
    ) -> dict[str, Any]:
        found = await self.get(resource, namespace, name)
        self.writes.append(f"patch {resource}" + (f"/{sub}" if sub else ""))
        for part, content in body.items():
            found[part] = found.get(part, {}) | content
        self.objects[resource] = found
        return found


class Counts(Devices):
    """Devices whose numbers the test sets."""

    total, healthy = 0, 0

    def capacity(self) -> dict[str, int]:
        return {"nvidia.com/gpu": self.total} if self.total else {}

    def allocatable(self) -> dict[str, int]:
        return {"nvidia.com/gpu": self.healthy} if self.total else {}


@pytest.fixture
def devices(tmp_path: Path) -> Counts:
    return Counts(tmp_path / "devices.json")


def test_labels_and_taints_of_a_gpu_node() -> None:
    node = node_object.new(GPU_NODE)
    labels = node["metadata"]["labels"]
    assert labels["kubernetes.io/hostname"] == "gpu-worker"
    assert labels["nvidia.com/gpu.count"] == "4"
    assert labels["nvidia.com/gpu.memory"] == "81920"
    assert node["spec"]["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert node["spec"]["podCIDR"] == "10.20.2.0/24"


def test_control_plane_keeps_pods_away() -> None:
    (taint,) = node_object.new(find_node("app", "app-control-plane"))["spec"]["taints"]
    assert (taint["key"], taint["effect"]) == ("node-role.kubernetes.io/control-plane", "NoSchedule")
    assert "taints" in node_object.new(find_node("app", "app-worker"))["spec"]


FOREIGN = {"capacity": {"cpu": "2", "example.com/dongle": "3"}, "allocatable": {"example.com/dongle": "2"}}


@pytest.mark.parametrize(
    ("registering", "known", "expected"),
    [(False, {}, ("3", "2")), (True, {}, ("0", "0")), (True, {"nvidia.com/gpu": 0}, ("3", "2"))],
)
def test_extended_resources_of_others(registering: bool, known: dict[str, int], expected: tuple[str, str]) -> None:
    """Somebody put them into the node's status; only a node that registers knowing no device takes them for its own past."""
    status = node_object.status(GPU_NODE, FOREIGN, known, known, NOW, registering=registering)
    assert (status["capacity"]["example.com/dongle"], status["allocatable"]["example.com/dongle"]) == expected


def test_an_extended_resource_that_is_added_by_its_capacity_alone_can_be_allocated() -> None:
    current = {"capacity": {"example.com/dongle": "3"}, "allocatable": {"cpu": "2"}}
    status = node_object.status(GPU_NODE, current, {}, {}, NOW)
    assert status["allocatable"]["example.com/dongle"] == "3"


def test_status_counts_devices() -> None:
    status = node_object.status(GPU_NODE, {}, {"nvidia.com/gpu": 4}, {"nvidia.com/gpu": 3}, NOW)
    assert (status["capacity"]["nvidia.com/gpu"], status["allocatable"]["nvidia.com/gpu"]) == ("4", "3")
    assert int(status["capacity"]["cpu"]) >= node_object.MIN_CORES
    assert status["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]
    assert status["nodeInfo"]["kubeletVersion"].endswith("+embedded")


def test_conditions_keep_their_transition_time() -> None:
    first = node_object.status(GPU_NODE, {}, {}, {}, NOW)
    second = node_object.status(GPU_NODE, first, {}, {}, LATER)
    ready = second["conditions"][-1]
    assert (ready["type"], ready["status"], ready["lastTransitionTime"]) == ("Ready", "True", NOW)
    assert ready["lastHeartbeatTime"] == LATER
    lost = {"conditions": [ready | {"status": "Unknown"}]}
    assert node_object.status(GPU_NODE, lost, {}, {}, LATER)["conditions"][-1]["lastTransitionTime"] == LATER


async def test_register_twice_refreshes_labels(devices: Counts) -> None:
    api = FakeApi()
    await NodeStatus(GPU_NODE, api, devices).register()
    assert api.writes == ["create nodes", "patch nodes/status"]
    api.objects["nodes"]["metadata"]["labels"] = {}
    await NodeStatus(GPU_NODE, api, devices).register()
    assert api.objects["nodes"]["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"


async def test_status_is_written_only_when_it_changed(devices: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    status = NodeStatus(GPU_NODE, api, devices)
    await status.register()
    api.writes.clear()
    await status.sync_status()
    assert api.writes == []
    devices.total, devices.healthy = 4, 3
    await status.sync_status()
    assert api.writes == ["patch nodes/status"]
    # The control plane gave the node up: say that it is alive.
    api.objects["nodes"]["status"]["conditions"][-1]["status"] = "Unknown"
    await status.sync_status()
    assert api.objects["nodes"]["status"]["conditions"][-1]["status"] == "True"
    api.writes.clear()
    monkeypatch.setattr(node_status, "REPORT_EVERY", -1)
    await status.sync_status()
    assert api.writes == ["patch nodes/status"]


async def test_deleted_node_registers_again(devices: Counts) -> None:
    api = FakeApi()
    status = NodeStatus(GPU_NODE, api, devices)
    await status.register()
    del api.objects["nodes"]
    await status.sync_status()
    assert api.objects["nodes"]["status"]["conditions"][-1]["type"] == "Ready"


async def test_lease_is_made_then_renewed(devices: Counts) -> None:
    api = FakeApi()
    status = NodeStatus(GPU_NODE, api, devices)
    await status.register()
    await status.renew_lease()
    first = api.objects[node_status.LEASES]
    assert first["spec"]["holderIdentity"] == "gpu-worker"
    assert first["metadata"]["ownerReferences"][0]["uid"] == "u"
    await asyncio.sleep(0.001)
    await status.renew_lease()
    assert api.objects[node_status.LEASES]["spec"]["renewTime"] > first["spec"]["renewTime"]


async def test_run_outlives_an_outage_and_publishes_new_devices_at_once(devices: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_status, "RETRY_EVERY", 0.01)
    monkeypatch.setattr(node_status, "TOGETHER", 0.01)
    api = FakeApi()
    outage = iter([ConnectionRefusedError(), TimeoutError(), ApiError(503, "", "starting")])
    create = api.create

    async def refuse(*args: Any) -> dict[str, Any]:
        for error in outage:
            raise error
        return await create(*args)

    monkeypatch.setattr(api, "create", refuse)
    status = NodeStatus(GPU_NODE, api, devices)
    running = asyncio.create_task(status.run())
    async with asyncio.timeout(2):
        while node_status.LEASES not in api.objects:
            await asyncio.sleep(0.01)
        devices.total = devices.healthy = 4
        devices._changed()
        while api.objects["nodes"]["status"]["allocatable"].get("nvidia.com/gpu") != "4":
            await asyncio.sleep(0.01)
        devices.healthy = 3
        await status.sync_status()
        devices.healthy = 4
        devices._changed()
        while api.objects["nodes"]["status"]["allocatable"].get("nvidia.com/gpu") != "4":
            await asyncio.sleep(0.01)
    running.cancel()
