"""The device plugin against a kubelet that is played over real Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from labs.pods.gpu_simulator.attribution import Holder, PodResources
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.offers import GPU, offers
from labs.pods.gpu_simulator.plugin import KUBELET, DevicePlugin, Registrar, endpoint_of
from labs.pods.gpu_simulator.settings import Settings
from labs.wire.deviceplugin import deviceplugin_pb2 as pb
from labs.wire.deviceplugin import deviceplugin_pb2_grpc as rpc
from labs.wire.deviceplugin import podresources_pb2 as pods_pb
from labs.wire.deviceplugin import podresources_pb2_grpc as pods_rpc
from tests.support.waiting import until


class FakeKubelet(rpc.RegistrationServicer):
    """As the real one it calls the plugin back inside Register, before it answers, then keeps ListAndWatch open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[pb.RegisterRequest] = []
        self.devices: dict[str, str] = {}
        self._server: grpc.aio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for socket in self.folder.glob("*.sock"):  # a kubelet that starts removes all sockets in the folder
            socket.unlink()
        self._server = grpc.aio.server()
        rpc.add_RegistrationServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.folder / KUBELET}")
        await self._server.start()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server:
            await self._server.stop(None)

    async def Register(self, request: pb.RegisterRequest, context: grpc.aio.ServicerContext) -> pb.Empty:
        channel = grpc.aio.insecure_channel(f"unix:{self.folder / request.endpoint}")
        options = await rpc.DevicePluginStub(channel).GetDevicePluginOptions(pb.Empty(), timeout=5)
        assert options == request.options
        self._tasks.append(asyncio.create_task(self._watch(channel)))
        self.requests.append(request)
        return pb.Empty()

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        async for answer in rpc.DevicePluginStub(channel).ListAndWatch(pb.Empty()):
            self.devices = {device.ID: device.health for device in answer.devices}


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[FakeKubelet]:
    fake = FakeKubelet(tmp_path)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def registrar(fleet: Fleet, tmp_path: Path) -> AsyncIterator[Registrar]:
    registrar = Registrar(DevicePlugin(fleet, offers(fleet, Settings())[0]), tmp_path)
    task = asyncio.create_task(registrar.run())
    yield registrar
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def stub(kubelet: FakeKubelet, registrar: Registrar) -> AsyncIterator[rpc.DevicePluginStub]:
    await until(lambda: registrar.registered)
    async with grpc.aio.insecure_channel(f"unix:{kubelet.folder / endpoint_of(GPU)}") as channel:
        yield rpc.DevicePluginStub(channel)


async def test_it_registers_and_lists_all_gpus(kubelet: FakeKubelet, registrar: Registrar, fleet: Fleet) -> None:
    await until(lambda: len(kubelet.devices) == 4)
    request = kubelet.requests[0]
    assert (request.version, request.endpoint, request.resource_name) == ("v1beta1", "nvidia.com-gpu.sock", GPU)
    assert kubelet.devices == {gpu.uuid: "Healthy" for gpu in fleet.gpus}


async def test_health_goes_both_ways(kubelet: FakeKubelet, registrar: Registrar, fleet: Fleet) -> None:
    await until(lambda: len(kubelet.devices) == 4)
    sick = fleet.gpus[3]
    fleet.inject(sick, FAULTS["xid79"])
    await until(lambda: kubelet.devices[sick.uuid] == "Unhealthy")
    assert list(kubelet.devices.values()).count("Healthy") == 3, "an unhealthy GPU stays listed"
    fleet.heal(sick, FAULTS["xid79"])
    await until(lambda: kubelet.devices[sick.uuid] == "Healthy")


async def test_it_registers_again_after_a_restart_of_the_kubelet(
    kubelet: FakeKubelet, registrar: Registrar, fleet: Fleet
) -> None:
    await until(lambda: registrar.registered)
    await kubelet.stop()
    reborn = FakeKubelet(kubelet.folder)
    await reborn.start()
    try:
        await until(lambda: len(reborn.devices) == 4)
    finally:
        await reborn.stop()


async def test_it_waits_for_a_kubelet_that_comes_later(tmp_path: Path, registrar: Registrar) -> None:
    await asyncio.sleep(0.1)
    assert not registrar.registered
    late = FakeKubelet(tmp_path)
    await late.start()
    try:
        await until(lambda: registrar.registered)
    finally:
        await late.stop()


async def test_allocate_tells_the_container_its_gpus_and_the_socket(stub: rpc.DevicePluginStub, fleet: Fleet) -> None:
    wanted = [fleet.gpus[1].uuid, fleet.gpus[2].uuid]
    answer = await stub.Allocate(pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=wanted)]))
    (container,) = answer.container_responses
    assert dict(container.envs) == {
        "NVIDIA_VISIBLE_DEVICES": ",".join(wanted),
        "GPU_SIMULATOR_SOCKET": "/run/gpu-simulator/gpu.sock",
    }
    assert {mount.container_path: mount.host_path for mount in container.mounts} == {
        "/run/gpu-simulator": "/var/run/gpu-simulator",
        "/usr/bin/nvidia-smi": "/var/lib/gpu-simulator/nvidia-smi",
    }


async def test_allocate_refuses_a_gpu_it_does_not_have(stub: rpc.DevicePluginStub) -> None:
    request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=["GPU-other"])])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Allocate(request)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert "GPU-other" in (refused.value.details() or "")


async def test_the_lowest_index_is_preferred_after_what_must_be_there(stub: rpc.DevicePluginStub, fleet: Fleet) -> None:
    names = [gpu.uuid for gpu in fleet.gpus]
    request = pb.ContainerPreferredAllocationRequest(
        available_deviceIDs=list(reversed(names)), must_include_deviceIDs=[names[3]], allocation_size=2
    )
    answer = await stub.GetPreferredAllocation(pb.PreferredAllocationRequest(container_requests=[request]))
    assert list(answer.container_responses[0].deviceIDs) == [names[3], names[0]]


class FakeLister(pods_rpc.PodResourcesListerServicer):
    def __init__(self, uuid: str) -> None:
        self.asked = 0
        self._uuid = uuid

    async def List(
        self, request: pods_pb.ListPodResourcesRequest, context: grpc.aio.ServicerContext
    ) -> pods_pb.ListPodResourcesResponse:
        self.asked += 1
        devices = [pods_pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=[self._uuid])]
        container = pods_pb.ContainerResources(name="server", devices=devices)
        return pods_pb.ListPodResourcesResponse(
            pod_resources=[pods_pb.PodResources(name="model-0", namespace="ml", containers=[container])]
        )


async def test_holders_come_from_the_kubelet_at_most_once_a_second(tmp_path: Path, fleet: Fleet) -> None:
    now = [0.0]
    lister = FakeLister(fleet.gpus[0].uuid)
    server = grpc.aio.server()
    pods_rpc.add_PodResourcesListerServicer_to_server(lister, server)
    server.add_insecure_port(f"unix:{tmp_path / 'pods.sock'}")
    await server.start()
    holders = PodResources(tmp_path / "pods.sock", clock=lambda: now[0])
    try:
        for _ in range(3):
            assert await holders.current() == {fleet.gpus[0].uuid: [Holder("model-0", "ml", "server")]}
        assert lister.asked == 1
        await server.stop(None)
        now[0] = 2.0
        assert await holders.current() == {}, "without a kubelet the labels go, the metrics stay"
    finally:
        await holders.close()
        await server.stop(None)
