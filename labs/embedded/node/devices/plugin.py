"""The connection to one device plugin: the node agent is the client of the socket the plugin serves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc

from labs.embedded.node.model import Allocation
from labs.wire.deviceplugin import deviceplugin_pb2 as pb
from labs.wire.deviceplugin import deviceplugin_pb2_grpc as rpc

DIAL_TIMEOUT = 10
"""Seconds a plugin has to answer its socket while it registers; Kubernetes' number."""
PRE_START_TIMEOUT = 30
"""Seconds PreStartContainer may take; Kubernetes' number. Allocate has no limit, as there."""
STOP_GRACE = 300
"""Seconds the node still counts the devices of a plugin that has gone away; Kubernetes' number."""


class PluginError(Exception):
    """The plugin is gone, or answered a call with an error; the text is the kubelet's."""


class Plugin:
    """One plugin that registered ``resource`` from ``socket``. A stopped one stays known for ``STOP_GRACE`` seconds."""

    def __init__(self, resource: str, socket: Path) -> None:
        self.resource = resource
        self.socket = socket
        self.options = pb.DevicePluginOptions()
        self.stopped_at: float | None = None
        # Go's servers refuse the authority gRPC makes of a socket's path.
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost")])
        self._stub = rpc.DevicePluginStub(self._channel)

    @property
    def stopped(self) -> bool:
        return self.stopped_at is not None

    @property
    def expired(self) -> bool:
        return self.stopped_at is not None and time.monotonic() - self.stopped_at > STOP_GRACE

    async def connect(self) -> None:
        """Dial the plugin and ask for its options.

        Raises:
            PluginError: nothing answers on the socket within ``DIAL_TIMEOUT``, or it is not a device plugin.
        """
        try:
            self.options = await self._stub.GetDevicePluginOptions(pb.Empty(), timeout=DIAL_TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise PluginError(f"failed to dial device plugin: {rpc_text(error)}") from error

    async def devices(self) -> AsyncIterator[dict[str, str]]:
        """The plugin's devices, id to health, each time it sends them; ends when the plugin does."""
        try:
            async for answer in self._stub.ListAndWatch(pb.Empty()):
                yield {device.ID: device.health for device in answer.devices}
        except grpc.aio.AioRpcError as error:
            raise PluginError(rpc_text(error)) from error

    async def preferred(self, available: Iterable[str], count: int) -> list[str]:
        """The ``count`` devices the plugin would rather give away; empty if it has no opinion."""
        if not self.options.get_preferred_allocation_available:
            return []
        wish = pb.ContainerPreferredAllocationRequest(available_deviceIDs=sorted(available), allocation_size=count)
        try:
            self._check_alive()
            answer = await self._stub.GetPreferredAllocation(pb.PreferredAllocationRequest(container_requests=[wish]))
        except (grpc.aio.AioRpcError, PluginError) as error:
            raise PluginError(f"device plugin GetPreferredAllocation rpc failed with err: {rpc_text(error)}") from error
        return list(answer.container_responses[0].deviceIDs) if answer.container_responses else []

    async def allocate(self, device_ids: Iterable[str]) -> Allocation:
        """Tell the plugin that a container gets these devices; its answer says what to set up in the container.

        Raises:
            PluginError: the plugin is gone or refused.
        """
        self._check_alive()
        wish = pb.ContainerAllocateRequest(devices_ids=sorted(device_ids))
        try:
            answer = await self._stub.Allocate(pb.AllocateRequest(container_requests=[wish]))
        except grpc.aio.AioRpcError as error:
            raise PluginError(rpc_text(error)) from error
        if not answer.container_responses:
            raise PluginError("no containers return in allocation response")
        given = answer.container_responses[0]
        mounts = tuple((mount.container_path, mount.host_path) for mount in given.mounts)
        return Allocation(self.resource, tuple(wish.devices_ids), dict(given.envs), mounts)

    async def pre_start(self, device_ids: Iterable[str]) -> None:
        """Announce the start of a container that holds these devices, if the plugin asked for that.

        Raises:
            PluginError: the plugin is gone, refused, or took longer than ``PRE_START_TIMEOUT``.
        """
        if not self.options.pre_start_required:
            return
        request = pb.PreStartContainerRequest(devices_ids=sorted(device_ids))
        try:
            self._check_alive()
            await self._stub.PreStartContainer(request, timeout=PRE_START_TIMEOUT)
        except (grpc.aio.AioRpcError, PluginError) as error:
            raise PluginError(f"device plugin PreStartContainer rpc failed with err: {rpc_text(error)}") from error

    async def stop(self) -> None:
        self.stopped_at = time.monotonic()
        await self._channel.close()

    def _check_alive(self) -> None:
        if self.stopped:
            raise PluginError(f"endpoint {self.resource} {self.socket} has been stopped")


def rpc_text(error: Exception) -> str:
    """An error of gRPC as Go prints it, since that is what the kubelet's events show."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return str(error)
    code = error.code()
    # Go spells this one code with a single l.
    name = "Canceled" if code is grpc.StatusCode.CANCELLED else "".join(word.capitalize() for word in code.name.split("_"))
    return f"rpc error: code = {name} desc = {error.details()}"
