"""Which container holds which GPU, from the kubelet's pod-resources API: the labels of the metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc

from labs.pods.gpu_simulator.offers import DOMAIN, REPLICA
from labs.pods.gpu_simulator.plugin import CHANNEL
from labs.wire.deviceplugin import podresources_pb2 as pb
from labs.wire.deviceplugin import podresources_pb2_grpc as rpc
from labs.wire.sockets import short

log = logging.getLogger(__name__)

MAX_AGE = 1.0
"""Seconds an answer is cached: as long as Prometheus' scrape interval in the lab."""
TIMEOUT = 0.5


@dataclass(frozen=True)
class Holder:
    """The container a device is allocated to; ``replica`` is the number of a shared GPU's replica, else empty."""

    pod: str
    namespace: str
    container: str
    replica: str = ""


Holding = Mapping[str, Sequence[Holder]]
"""Holders by the UUID of a GPU or MIG instance: several where it is shared."""


class Holders(Protocol):
    """Finds the holders of each GPU."""

    async def current(self) -> Holding: ...


def holders_in(listing: pb.ListPodResourcesResponse) -> dict[str, list[Holder]]:
    """The holders by UUID. The real kubelet lists each device of a container in an entry of its own."""
    found: dict[str, list[Holder]] = {}
    for pod in listing.pod_resources:
        for container in pod.containers:
            for devices in container.devices:
                if devices.resource_name.startswith(DOMAIN):
                    for device in devices.device_ids:
                        name, _, replica = device.partition(REPLICA)
                        found.setdefault(name, []).append(Holder(pod.name, pod.namespace, container.name, replica))
    return found


class PodResources:
    """The kubelet's answer from ``socket``, requested at most once a second. Without a socket the metrics lack these labels."""

    def __init__(self, socket: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{short(socket)}", options=CHANNEL)
        self._clock = clock
        self._asked = -MAX_AGE
        self._known: Holding = {}

    async def current(self) -> Holding:
        if self._clock() - self._asked >= MAX_AGE:
            self._asked = self._clock()
            try:
                stub = rpc.PodResourcesListerStub(self._channel)
                self._known = holders_in(await stub.List(pb.ListPodResourcesRequest(), timeout=TIMEOUT))
            except grpc.aio.AioRpcError as error:
                log.warning("the pod-resources API does not answer: %s %s", error.code().name, error.details())
                self._known = {}
        return self._known

    async def close(self) -> None:
        await self._channel.close()
