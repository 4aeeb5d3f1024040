"""The device plugin: offers the node's GPUs over the kubelet's device-plugin API, v1beta1; one plugin per resource."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from labs.pods.gpu_simulator import sockets
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.offers import Offer, uuid_of
from labs.pods.gpu_simulator.settings import APPLICATION_XIDS
from labs.wire import deviceplugin
from labs.wire.deviceplugin import deviceplugin_pb2 as pb
from labs.wire.deviceplugin import deviceplugin_pb2_grpc as rpc
from labs.wire.sockets import short

log = logging.getLogger(__name__)

KUBELET = "kubelet.sock"
CHECK_SECONDS = 0.5
"""How often to check the kubelet's socket: a kubelet that restarts forgets its plugins and makes a new socket."""
REGISTER_TIMEOUT = 15.0
"""Seconds. Within Register the kubelet calls the plugin back and waits up to 10 s for it."""
CHANNEL = [("grpc.enable_http_proxy", 0)]
OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


def endpoint_of(resource: str) -> str:
    """The name of the socket on which the plugin of ``resource`` listens."""
    return f"{resource.replace('/', '-')}.sock"


class DevicePlugin(rpc.DevicePluginServicer):
    """The plugin's side of the API for one resource. Each change of a fault goes to every open ListAndWatch.

    ``ignored`` XIDs leave a GPU Healthy; None: all do. ``one_each`` refuses a container more than one replica.
    """

    def __init__(
        self, fleet: Fleet, offer: Offer, ignored: frozenset[int] | None = APPLICATION_XIDS, one_each: bool = False
    ) -> None:
        self.offer = offer
        self._fleet = fleet
        self._ignored = ignored
        self._one_each = one_each
        self._watchers: set[asyncio.Event] = set()
        fleet.on_change.append(self._wake)

    @property
    def down(self) -> bool:
        """Whether a fault keeps the plugin from running."""
        return self._fleet.has(lambda fault: fault.plugin_down)

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()

    def devices(self) -> pb.ListAndWatchResponse:
        """All devices, always: one left out would shrink the node's capacity."""
        return pb.ListAndWatchResponse(
            devices=[pb.Device(ID=device, health=self._health(gpu)) for device, gpu in self.offer.devices.items()]
        )

    def _health(self, gpu: Gpu) -> str:
        ignored = self._ignored
        sick = ignored is not None and gpu.has(lambda fault: fault.xid and fault.xid not in ignored)
        return deviceplugin.UNHEALTHY if sick else deviceplugin.HEALTHY

    async def GetDevicePluginOptions(self, request: pb.Empty, context: grpc.aio.ServicerContext) -> pb.DevicePluginOptions:
        return OPTIONS

    async def ListAndWatch(self, request: pb.Empty, context: grpc.aio.ServicerContext) -> AsyncIterator[pb.ListAndWatchResponse]:
        changed = asyncio.Event()
        self._watchers.add(changed)
        told = None
        try:
            while True:
                if (now := self.devices()) != told:
                    yield now
                    told = now
                await changed.wait()
                changed.clear()
        finally:
            self._watchers.discard(changed)

    async def GetPreferredAllocation(
        self, request: pb.PreferredAllocationRequest, context: grpc.aio.ServicerContext
    ) -> pb.PreferredAllocationResponse:
        chosen = [
            self.offer.prefer(one.available_deviceIDs, list(one.must_include_deviceIDs), one.allocation_size)
            for one in request.container_requests
        ]
        responses = [pb.ContainerPreferredAllocationResponse(deviceIDs=ids) for ids in chosen]
        return pb.PreferredAllocationResponse(container_responses=responses)

    async def Allocate(self, request: pb.AllocateRequest, context: grpc.aio.ServicerContext) -> pb.AllocateResponse:
        if self._fleet.has(lambda fault: fault.allocate_fails):
            await context.abort(grpc.StatusCode.INTERNAL, "the driver's library cannot be initialized")
        for wanted in request.container_requests:
            if unknown := [device for device in wanted.devices_ids if device not in self.offer.devices]:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"no such GPU on this node: {', '.join(unknown)}")
            if self._one_each and self.offer.shared and (count := len(wanted.devices_ids)) > 1:
                limit = f"{self.offer.resource}: {count} is too many: more replicas of a shared GPU bring nothing; ask for 1"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, limit)
        return pb.AllocateResponse(container_responses=[_answer(list(one.devices_ids)) for one in request.container_requests])

    async def PreStartContainer(
        self, request: pb.PreStartContainerRequest, context: grpc.aio.ServicerContext
    ) -> pb.PreStartContainerResponse:
        return pb.PreStartContainerResponse()


def _answer(devices: list[str]) -> pb.ContainerAllocateResponse:
    uuids = list(dict.fromkeys(map(uuid_of, devices)))
    return pb.ContainerAllocateResponse(
        envs={
            "NVIDIA_VISIBLE_DEVICES": ",".join(uuids),
            "GPU_SIMULATOR_SOCKET": sockets.WORK_SOCKET,
        },
        mounts=[
            pb.Mount(container_path=sockets.FOLDER_IN_CONTAINER, host_path=sockets.FOLDER_ON_NODE, read_only=True),
            pb.Mount(container_path=sockets.SMI_IN_CONTAINER, host_path=sockets.SMI_ON_NODE, read_only=True),
        ],
    )


class Registrar:
    """Keeps the plugin served and registered in ``folder`` for as long as ``run`` runs, over restarts of the kubelet and faults
    of the plugin."""

    def __init__(self, plugin: DevicePlugin, folder: Path) -> None:
        self.registered = False
        self._plugin = plugin
        self._folder = short(folder / KUBELET).parent
        self._endpoint = endpoint_of(plugin.offer.resource)

    async def run(self) -> None:
        while True:
            kubelet = await self._appears()
            try:
                async with self._served():
                    await self._register()
                    await self._gone(kubelet)
            except (grpc.aio.AioRpcError, OSError, RuntimeError) as error:
                log.warning("registration with the kubelet failed, trying again: %s", error)
                await asyncio.sleep(CHECK_SECONDS)
            finally:
                self.registered = False

    def _identity(self) -> tuple[int, int] | None:
        """Which kubelet socket this is: a new one differs in inode or time of creation."""
        try:
            found = (self._folder / KUBELET).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_ctime_ns

    async def _appears(self) -> tuple[int, int]:
        while (kubelet := self._identity()) is None or self._plugin.down:
            await asyncio.sleep(CHECK_SECONDS)
        return kubelet

    async def _gone(self, kubelet: tuple[int, int]) -> None:
        """Wait until the kubelet makes a new socket or removes ours, as it does when it starts, or the plugin fails."""
        while not self._plugin.down and self._identity() == kubelet and (self._folder / self._endpoint).exists():
            await asyncio.sleep(CHECK_SECONDS)

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        (self._folder / self._endpoint).unlink(missing_ok=True)
        server = grpc.aio.server()
        rpc.add_DevicePluginServicer_to_server(self._plugin, server)
        server.add_insecure_port(f"unix:{self._folder / self._endpoint}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)
            (self._folder / self._endpoint).unlink(missing_ok=True)

    async def _register(self) -> None:
        """Call after serving has begun: the kubelet calls back before it answers."""
        resource = self._plugin.offer.resource
        request = pb.RegisterRequest(
            version=deviceplugin.VERSION, endpoint=self._endpoint, resource_name=resource, options=OPTIONS
        )
        async with grpc.aio.insecure_channel(f"unix:{self._folder / KUBELET}", options=CHANNEL) as channel:
            await rpc.RegistrationStub(channel).Register(request, timeout=REGISTER_TIMEOUT)
        self.registered = True
        log.info("registered %s with the kubelet", resource)
