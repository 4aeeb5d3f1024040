"""The two Unix sockets of the device side: plugins register on one, exporters ask for pod resources on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import grpc

from labs.embedded.node.devices.manager import Devices
from labs.embedded.node.devices.pod_resources import PodResources
from labs.embedded.node.devices.registration import Registration
from labs.embedded.node.model import PodRecord
from labs.wire.deviceplugin import deviceplugin_pb2_grpc, podresources_pb2_grpc

SOCKET = "kubelet.sock"


class DeviceService:
    """Serves while the block runs: ``async with DeviceService(devices, pods, plugins=…, pod_resources=…)``.

    ``plugins`` and ``pod_resources`` are the folders that stand for /var/lib/kubelet/device-plugins and …/pod-resources.
    """

    def __init__(self, devices: Devices, pods: Callable[[], Iterable[PodRecord]], *, plugins: Path, pod_resources: Path) -> None:
        self._devices = devices
        self._pods = pods
        self._plugins = plugins
        self._pod_resources = pod_resources
        self._servers: list[grpc.aio.Server] = []

    async def __aenter__(self) -> DeviceService:
        for folder in (self._plugins, self._pod_resources):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            remove_sockets(folder)
        lister, registration = grpc.aio.server(), grpc.aio.server()
        podresources_pb2_grpc.add_PodResourcesListerServicer_to_server(PodResources(self._devices, self._pods), lister)
        deviceplugin_pb2_grpc.add_RegistrationServicer_to_server(Registration(self._devices, self._plugins), registration)
        for server, folder in ((lister, self._pod_resources), (registration, self._plugins)):
            server.add_insecure_port(f"unix:{folder / SOCKET}")
            await server.start()
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._devices.close()
        for server in self._servers:
            await server.stop(grace=None)


def remove_sockets(folder: Path) -> None:
    """Remove the sockets of an earlier agent and its plugins. A new ``kubelet.sock`` tells plugins to register again."""
    for path in folder.iterdir():
        if path.is_socket():
            path.unlink()
