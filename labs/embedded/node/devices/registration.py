"""The Registration service: plugins call it on ``kubelet.sock`` to say which resource they offer, and on which socket."""

from __future__ import annotations

import re
from pathlib import Path

import grpc

from labs.embedded.node.devices.manager import Devices
from labs.embedded.node.devices.plugin import PluginError
from labs.wire.deviceplugin import VERSION
from labs.wire.deviceplugin import deviceplugin_pb2 as pb
from labs.wire.deviceplugin import deviceplugin_pb2_grpc as rpc

EXTENDED_RESOURCE = re.compile(r"(?=.{1,253}/)[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""DOMAIN/NAME, like label keys; names under kubernetes.io are the kubelet's own."""


def is_extended_resource(name: str) -> bool:
    domain = name.partition("/")[0]
    return (
        bool(EXTENDED_RESOURCE.fullmatch(name))
        and not f".{domain}".endswith(".kubernetes.io")
        and not name.startswith("requests.")
    )


class Registration(rpc.RegistrationServicer):
    """Answers a plugin only after dialling it: a plugin that serves and registers in one thread would wait for itself."""

    def __init__(self, devices: Devices, directory: Path) -> None:
        self._devices = devices
        self._directory = directory

    async def Register(self, request: pb.RegisterRequest, context: grpc.aio.ServicerContext) -> pb.Empty:
        if request.version != VERSION:
            supported = f'Supported version is ["{VERSION}"]'
            await _refuse(context, f'requested API version "{request.version}" is not supported by kubelet. {supported}')
        if not is_extended_resource(request.resource_name):
            await _refuse(context, f'the ResourceName "{request.resource_name}" is invalid')
        try:
            await self._devices.connect(request.resource_name, self._directory / request.endpoint)
        except PluginError as error:
            await _refuse(context, str(error))
        return pb.Empty()


async def _refuse(context: grpc.aio.ServicerContext, message: str) -> None:
    """End the call with UNKNOWN, which is what an error without a code becomes in the kubelet."""
    await context.abort(grpc.StatusCode.UNKNOWN, message)
