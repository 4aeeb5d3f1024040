"""A device plugin for tests, served over a real Unix socket: its devices and its answers are the test's to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from labs.wire.deviceplugin import HEALTHY
from labs.wire.deviceplugin import deviceplugin_pb2 as pb
from labs.wire.deviceplugin import deviceplugin_pb2_grpc as rpc


class FakePlugin(rpc.DevicePluginServicer):
    def __init__(self, folder: Path, *device_ids: str, resource: str = "example.com/gpu", endpoint: str = "fake.sock") -> None:
        self.folder = folder
        self.resource = resource
        self.endpoint = endpoint
        self.devices = dict.fromkeys(device_ids, HEALTHY)
        self.preference: list[str] = []
        self.allocate_error = ""
        self.calls: list[tuple[str, list[str]]] = []
        self._changed = asyncio.Event()
        self._server = grpc.aio.server()

    async def __aenter__(self) -> FakePlugin:
        rpc.add_DevicePluginServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.folder / self.endpoint}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(grace=None)

    async def register(self, version: str = "v1beta1") -> None:
        async with grpc.aio.insecure_channel(f"unix:{self.folder / 'kubelet.sock'}") as channel:
            request = pb.RegisterRequest(version=version, endpoint=self.endpoint, resource_name=self.resource)
            await rpc.RegistrationStub(channel).Register(request, timeout=15)

    def set(self, device_id: str, health: str | None) -> None:
        """Change a device's health, or take the device away."""
        self.devices.pop(device_id, None)
        if health:
            self.devices[device_id] = health
        self._changed.set()

    async def GetDevicePluginOptions(self, request: pb.Empty, context: grpc.aio.ServicerContext) -> pb.DevicePluginOptions:
        return pb.DevicePluginOptions(pre_start_required=True, get_preferred_allocation_available=True)

    async def ListAndWatch(self, request: pb.Empty, context: grpc.aio.ServicerContext) -> AsyncIterator[pb.ListAndWatchResponse]:
        while True:
            self._changed.clear()
            yield pb.ListAndWatchResponse(devices=[pb.Device(ID=name, health=health) for name, health in self.devices.items()])
            await self._changed.wait()

    async def GetPreferredAllocation(
        self, request: pb.PreferredAllocationRequest, context: grpc.aio.ServicerContext
    ) -> pb.PreferredAllocationResponse:
        return pb.PreferredAllocationResponse(
            container_responses=[pb.ContainerPreferredAllocationResponse(deviceIDs=self.preference)]
        )

    async def Allocate(self, request: pb.AllocateRequest, context: grpc.aio.ServicerContext) -> pb.AllocateResponse:
        device_ids = list(request.container_requests[0].devices_ids)
        self.calls.append(("Allocate", device_ids))
        if self.allocate_error:
            await context.abort(grpc.StatusCode.INTERNAL, self.allocate_error)
        answer = pb.ContainerAllocateResponse(
            envs={"VISIBLE_DEVICES": ",".join(device_ids)},
            mounts=[pb.Mount(container_path="/run/fake", host_path="/var/run/fake")],
        )
        return pb.AllocateResponse(container_responses=[answer])

    async def PreStartContainer(
        self, request: pb.PreStartContainerRequest, context: grpc.aio.ServicerContext
    ) -> pb.PreStartContainerResponse:
        self.calls.append(("PreStartContainer", list(request.devices_ids)))
        return pb.PreStartContainerResponse()
