"""Keep the Node registered, its Lease fresh and its status true: the heartbeat that the control plane watches."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from labs.embedded.node import node_object
from labs.embedded.node.model import DeviceManager, Node, Object
from labs.wire.kube_api import STRATEGIC_PATCH, ApiError, KubeApi

log = logging.getLogger(__name__)

STATUS_EVERY = 10.0
"""Seconds between two checks of the node's status; the kubelet's default (nodeStatusUpdateFrequency)."""
REPORT_EVERY = 300.0
"""Seconds after which an unchanged status is written anyway; the kubelet's default (nodeStatusReportFrequency)."""
LEASE_EVERY = 4.0
"""Seconds between two renewals of the Lease: the controller manager here gives up a silent node after 16 s, not 50."""
LEASE_DURATION = 16
RETRY_EVERY = 0.5
"""Seconds to wait when the API server does not answer or refuses."""
TOGETHER = 0.3
"""Seconds to collect the plugins of one node, which register one after another, before the node reports them."""
LEASES = "coordination.k8s.io/v1/leases"
LEASE_NAMESPACE = "kube-node-lease"
UNAVAILABLE = (ApiError, aiohttp.ClientError, TimeoutError, OSError)


class NodeStatus:
    """Reports the node to the API server. ``run`` runs until cancelled."""

    def __init__(self, node: Node, api: KubeApi, devices: DeviceManager) -> None:
        self._node = node
        self._api = api
        self._devices = devices
        self._offer = asyncio.Event()
        self._offered: dict[str, int] = {}
        self._reported = 0.0
        self._uid = ""
        devices.on_change(self._notice)

    async def run(self) -> None:
        """Register, then report for ever. Survives any outage of the API server."""
        await _insist(self.register)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(LEASE_EVERY, self.renew_lease))
            tasks.create_task(self._report())

    async def register(self) -> None:
        """Create the Node or, when it is there already, bring its labels up to date; the status follows at once."""
        wanted = node_object.new(self._node)
        try:
            found = await self._api.create("nodes", None, wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            patch = {"metadata": {"labels": wanted["metadata"]["labels"]}}
            found = await self._api.patch("nodes", None, self._node.name, patch, content_type=STRATEGIC_PATCH)
        self._uid = found["metadata"]["uid"]
        await self.sync_status(registering=True)

    async def sync_status(self, *, registering: bool = False) -> None:
        """Write the status if it differs from what the API server has, or has not been written for ``REPORT_EVERY``."""
        try:
            found = await self._api.get("nodes", None, self._node.name)
        except ApiError as error:
            if error.code != 404:
                raise
            # The Node was deleted while its agent lives.
            return await self.register()
        current = found.get("status", {})
        capacity, allocatable = self._devices.capacity(), self._devices.allocatable()
        wanted = node_object.status(self._node, current, capacity, allocatable, _now(), registering=registering)
        if _essence(wanted, wanted) != _essence(current, wanted) or time.monotonic() - self._reported > REPORT_EVERY:
            patch = {"status": wanted}
            await self._api.patch("nodes", None, self._node.name, patch, sub="status", content_type=STRATEGIC_PATCH)
            self._reported = time.monotonic()
        self._offered = allocatable

    async def renew_lease(self) -> None:
        spec = {
            "holderIdentity": self._node.name,
            "leaseDurationSeconds": LEASE_DURATION,
            "renewTime": _now(precision="microseconds"),
        }
        try:
            await self._api.patch(LEASES, LEASE_NAMESPACE, self._node.name, {"spec": spec})
        except ApiError as error:
            if error.code != 404:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._node.name, "uid": self._uid}
            metadata = {"name": self._node.name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            await self._api.create(LEASES, LEASE_NAMESPACE, lease)

    async def _report(self) -> None:
        """Every ``STATUS_EVERY``, as the kubelet; but where the node offers more than before that is published at once."""
        while True:
            try:
                async with asyncio.timeout(STATUS_EVERY):
                    await self._offer.wait()
                    await asyncio.sleep(TOGETHER)
            except TimeoutError:
                pass
            self._offer.clear()
            await _insist(self.sync_status)

    async def _every(self, period: float, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await _insist(action)
            await asyncio.sleep(period)

    def _notice(self) -> None:
        if any(count > self._offered.get(name, 0) for name, count in self._devices.allocatable().items()):
            self._offer.set()


async def _insist(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Retry ``action`` until the API server accepts it."""
    complained = False
    while True:
        try:
            return await action()
        except UNAVAILABLE as error:
            if not complained:
                log.warning("%s: %s; trying again", getattr(action, "__name__", action), error)
            complained = True
            await asyncio.sleep(RETRY_EVERY)


def _essence(status: Object, like: Object) -> Object:
    """The parts of ``status`` that ``like`` has, without the times of its conditions."""
    conditions = {row["type"]: (row["status"], row["reason"]) for row in status.get("conditions", ())}
    return {key: status.get(key) for key in like if key != "conditions"} | {"conditions": conditions}


def _now(precision: str = "seconds") -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
