"""The kubelet side of the device-plugin API against a plugin on a real Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import types
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from labs import shell
from labs.embedded.node.devices import Devices, DeviceService, plugin
from labs.embedded.node.devices.registration import is_extended_resource
from labs.embedded.node.model import DeviceError, PodRecord
from labs.wire.deviceplugin import UNHEALTHY
from labs.wire.deviceplugin import podresources_pb2 as pr
from labs.wire.deviceplugin import podresources_pb2_grpc as pr_rpc
from tests.support.waiting import until
from tests.unit.embedded.fake_plugin import FakePlugin

GPU = "example.com/gpu"


@dataclass
class Side:
    """The device side of one node, as an agent would run it."""

    folder: Path
    pods: list[PodRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices = Devices(self.folder / "checkpoint.json")

    def service(self) -> DeviceService:
        return DeviceService(self.devices, lambda: self.pods, plugins=self.folder, pod_resources=self.folder / "pr")

    def pod(self, name: str) -> PodRecord:
        spec = {"containers": [{"name": "main"}], "initContainers": [{"name": "once"}]}
        pod = PodRecord({"metadata": {"uid": f"uid-{name}", "name": name, "namespace": "ml"}, "spec": spec}, self.folder)
        self.pods.append(pod)
        return pod


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders have names too long for a socket.
    with tempfile.TemporaryDirectory(prefix="dp") as name:
        yield Path(name)


@pytest_asyncio.fixture
async def side(folder: Path) -> AsyncIterator[Side]:
    side = Side(folder)
    async with side.service():
        yield side


@contextlib.asynccontextmanager
async def registered(side: Side, *device_ids: str) -> AsyncIterator[FakePlugin]:
    async with FakePlugin(side.folder, *device_ids) as fake:
        await fake.register()
        await until(lambda: side.devices.capacity() == {GPU: len(device_ids)})
        yield fake


async def test_health_moves_allocatable_and_leaves_capacity(side: Side) -> None:
    changes: list[int] = []
    side.devices.on_change(lambda: changes.append(side.devices.allocatable()[GPU]))
    async with registered(side, "a", "b") as fake:
        assert side.devices.manages(GPU) and not side.devices.manages("example.com/other")
        fake.set("a", UNHEALTHY)
        await until(lambda: side.devices.allocatable() == {GPU: 1})
        assert side.devices.capacity() == {GPU: 2}
        assert side.devices.health(GPU, ["a", "b", "never-listed"]) == {
            "a": "Unhealthy",
            "b": "Healthy",
            "never-listed": "Healthy",
        }
        fake.set("a", "Healthy")
        await until(lambda: side.devices.allocatable() == {GPU: 2})
        fake.set("b", None)
        await until(lambda: side.devices.capacity() == {GPU: 1})
    assert changes[:4] == [2, 1, 2, 1]


async def test_plugin_gone(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = side.pod("p")
    async with registered(side, "a", "b"):
        await side.devices.allocate(pod, "main", GPU, 1)
    await until(lambda: side.devices.allocatable() == {GPU: 0})
    assert side.devices.capacity() == {GPU: 2}
    assert side.devices.health(GPU, ["a"]) == {"a": "Healthy"}
    with pytest.raises(DeviceError, match=r"device plugin PreStartContainer rpc failed with err: endpoint .* has been stopped"):
        await side.devices.pre_start(pod, "main")
    monkeypatch.setattr(plugin, "STOP_GRACE", 0)
    assert side.devices.capacity() == {GPU: 0}
    async with registered(side, "a", "b"):
        assert side.devices.allocatable() == {GPU: 2}


async def test_the_grace_of_a_plugin_counts_from_its_own_end_not_from_that_of_one_before(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(plugin, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    async with registered(side, "a"):
        pass
    await until(lambda: side.devices.allocatable() == {GPU: 0})
    clock[0] = plugin.STOP_GRACE + 1.0
    async with registered(side, "a"):
        pass
    await until(lambda: side.devices.allocatable() == {GPU: 0})
    assert side.devices.capacity() == {GPU: 1}, "the second one has just gone"


async def test_a_command_can_be_run_beside_grpc(side: Side, capfd: pytest.CaptureFixture[str]) -> None:
    async with registered(side, "a"):
        assert shell.run(["echo", "done"]).strip() == "done"
    assert "fork" not in capfd.readouterr().err, "gRPC's handlers of fork() are on: see tests/conftest.py"


async def test_allocate_hands_out_each_device_once(side: Side) -> None:
    async with registered(side, "a", "b", "c") as fake:
        fake.preference = ["c", "unknown"]
        first = await side.devices.allocate(side.pod("p1"), "main", GPU, 1)
        assert (first.device_ids, first.env, first.mounts) == (
            ("c",),
            {"VISIBLE_DEVICES": "c"},
            (("/run/fake", "/var/run/fake"),),
        )
        assert (await side.devices.allocate(side.pod("p2"), "main", GPU, 1)).device_ids == ("a",)
        with pytest.raises(DeviceError) as refused:
            await side.devices.allocate(side.pod("p3"), "main", GPU, 2)
        assert str(refused.value) == f"requested number of devices unavailable for {GPU}. Requested: 2, Available: 1"
        side.devices.release("uid-p1")
        assert (await side.devices.allocate(side.pod("p4"), "main", GPU, 2)).device_ids == ("b", "c")


async def test_what_an_init_container_left_is_given_first(side: Side) -> None:
    """Four of four for the init container, and the same four for the main one; another pod gets none of them."""
    pod = side.pod("p")
    async with registered(side, "a", "b", "c", "d"):
        once = await side.devices.allocate(pod, "once", GPU, 3)
        main = await side.devices.allocate(pod, "main", GPU, 4, once.device_ids)
        assert set(main.device_ids) == {"a", "b", "c", "d"}
        with pytest.raises(DeviceError, match="Requested: 1, Available: 0"):
            await side.devices.allocate(side.pod("q"), "main", GPU, 1)
        side.devices.release(pod.uid)
        assert len((await side.devices.allocate(side.pod("r"), "main", GPU, 4)).device_ids) == 4


async def test_an_unhealthy_device_is_not_given_again(side: Side) -> None:
    pod = side.pod("p")
    async with registered(side, "a", "b") as fake:
        once = await side.devices.allocate(pod, "once", GPU, 1)
        fake.set(once.device_ids[0], UNHEALTHY)
        await until(lambda: side.devices.allocatable() == {GPU: 1})
        main = await side.devices.allocate(pod, "main", GPU, 1, once.device_ids)
        assert main.device_ids != once.device_ids


async def test_two_pods_at_once_get_different_devices(side: Side) -> None:
    async with registered(side, "a", "b"):
        both = await asyncio.gather(*(side.devices.allocate(side.pod(name), "main", GPU, 1) for name in ("p1", "p2")))
    assert {allocation.device_ids for allocation in both} == {("a",), ("b",)}


async def test_allocate_errors(side: Side) -> None:
    pod = side.pod("p")
    with pytest.raises(DeviceError, match=f"^cannot allocate unregistered device {GPU}$"):
        await side.devices.allocate(pod, "main", GPU, 1)
    async with registered(side, "a") as fake:
        fake.allocate_error = "fake allocate failure: Xid 79"
        with pytest.raises(DeviceError, match=r"^rpc error: code = Internal desc = fake allocate failure: Xid 79$"):
            await side.devices.allocate(pod, "main", GPU, 1)
        fake.allocate_error = ""
        fake.set("a", UNHEALTHY)
        await until(lambda: side.devices.allocatable() == {GPU: 0})
        with pytest.raises(DeviceError, match=f"^no healthy devices present; cannot allocate unhealthy devices {GPU}$"):
            await side.devices.allocate(pod, "main", GPU, 1)
        fake.set("a", "Healthy")
        await until(lambda: side.devices.allocatable() == {GPU: 1})
        # The refused Allocate left nothing reserved.
        assert (await side.devices.allocate(pod, "main", GPU, 1)).device_ids == ("a",)


async def test_restarted_agent_remembers(folder: Path) -> None:
    old = Side(folder)
    async with old.service(), registered(old, "a", "b") as fake:
        fake.preference = ["b"]
        held = await old.devices.allocate(old.pod("p"), "main", GPU, 1)
    new = Side(folder)
    assert new.devices.capacity() == {GPU: 0}
    async with new.service(), registered(new, "a", "b") as fake:
        assert await new.devices.allocate(new.pod("p"), "main", GPU, 1) == held
        assert fake.calls == []
        await new.devices.pre_start(new.pods[0], "main")
        assert fake.calls == [("PreStartContainer", ["b"])]
        with pytest.raises(DeviceError, match="changed request"):
            await new.devices.allocate(new.pods[0], "main", GPU, 2)


def test_damaged_checkpoint_is_not_the_end(folder: Path) -> None:
    (folder / "checkpoint.json").write_text('{"resources": ["example.com/gpu"], "allo')
    assert Devices(folder / "checkpoint.json").capacity() == {}


async def test_leftover_sockets_are_removed_and_other_files_kept(folder: Path) -> None:
    (folder / "kept").write_text("")
    async with FakePlugin(folder, endpoint="left.sock"), Side(folder).service():
        assert sorted(path.name for path in folder.iterdir()) == ["kept", "kubelet.sock", "pr"]


async def test_registration_refuses(side: Side) -> None:
    async with FakePlugin(side.folder, "a") as fake:
        with pytest.raises(grpc.aio.AioRpcError, match=r'requested API version \\?"v1\\?" is not supported'):
            await fake.register(version="v1")
        await fake.register()
        with pytest.raises(grpc.aio.AioRpcError, match="device plugin already connected"):
            await fake.register()
        fake.resource = "gpu"
        with pytest.raises(grpc.aio.AioRpcError, match=r'the ResourceName \\?"gpu\\?" is invalid'):
            await fake.register()


async def test_registration_dials_before_it_answers(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "DIAL_TIMEOUT", 0.2)
    with pytest.raises(grpc.aio.AioRpcError, match="failed to dial device plugin"):
        await FakePlugin(side.folder, "a", endpoint="nobody.sock").register()
    assert not side.devices.manages(GPU)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "a/b", "example.com/A_b"])
def test_extended_resource_names(name: str) -> None:
    assert is_extended_resource(name)


@pytest.mark.parametrize("name", ["cpu", "kubernetes.io/gpu", "x.kubernetes.io/gpu", "requests.x/gpu", "UP/gpu", "a/", "a/b/c"])
def test_not_extended_resource_names(name: str) -> None:
    assert not is_extended_resource(name)


async def test_pod_resources(side: Side) -> None:
    pod, ended = side.pod("p"), side.pod("ended")
    ended.status = {"phase": "Succeeded"}
    async with registered(side, "a", "b") as fake:
        await side.devices.allocate(pod, "main", GPU, 1)
        fake.set("b", UNHEALTHY)
        await until(lambda: side.devices.allocatable() == {GPU: 1})
        async with grpc.aio.insecure_channel(f"unix:{side.folder / 'pr' / 'kubelet.sock'}") as channel:
            stub = pr_rpc.PodResourcesListerStub(channel)
            listing = await stub.List(pr.ListPodResourcesRequest())
            assert [(row.name, row.namespace) for row in listing.pod_resources] == [("p", "ml")]
            containers = listing.pod_resources[0].containers
            assert [(row.name, list(row.devices[0].device_ids)) for row in containers] == [("main", ["a"])]
            one = await stub.Get(pr.GetPodResourcesRequest(pod_name="p", pod_namespace="ml"))
            assert one.pod_resources == listing.pod_resources[0]
            all_devices = await stub.GetAllocatableResources(pr.AllocatableResourcesRequest())
            assert [(row.resource_name, list(row.device_ids)) for row in all_devices.devices] == [(GPU, ["a"])]
            with pytest.raises(grpc.aio.AioRpcError, match="pod x in namespace ml not found"):
                await stub.Get(pr.GetPodResourcesRequest(pod_name="x", pod_namespace="ml"))
