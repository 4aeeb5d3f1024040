"""GPU nodes that are only API objects, like KWOK's: they have capacity and a heartbeat, and nothing runs on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from labs.pods.gpu_simulator.offers import GPU
from labs.wire.kube_api import MERGE_PATCH, ApiError, KubeApi, Object, path_of

log = logging.getLogger(__name__)

LABEL = "boring-ops-lab/virtual-node"
LEASES = "coordination.k8s.io/v1/leases"
LEASE_NAMESPACE = "kube-node-lease"
HEARTBEAT = 7.0
"""Seconds between two renewals of a lease. The embedded lab's node controller waits for 16 s, so one may get lost."""
LOOK = 0.25
"""Seconds between two checks for leases that are due."""
AT_ONCE = 20
"""Concurrent calls."""
TAINT = {"key": LABEL, "value": "true", "effect": "NoSchedule"}
"""Keeps away pods that do not ask for such nodes: no kubelet would start them."""


def node(name: str, labels: dict[str, str], gpus: int) -> Object:
    """A Node with ``GPUs`` GPUs; for nodes, unlike pods, the API server accepts the status with the object."""
    now = _now()
    resources = {"cpu": "96", "memory": "1Ti", "pods": "110", GPU: str(gpus)}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "virtual node",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels | {LABEL: "true", "kubernetes.io/hostname": name}},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": resources, "allocatable": resources, "conditions": [ready]},
    }


class VirtualNodes:
    """Nodes called ``names`` in the cluster of ``api``: ``run`` keeps Ready those that ``create`` has made, until ``remove``."""

    def __init__(self, api: KubeApi, names: list[str], labels: dict[str, str], gpus: int) -> None:
        self._api = api
        self._names = names
        self._labels = labels
        self._gpus = gpus
        self._renewed: dict[str, float] = {}

    async def create(self) -> None:
        """Make all nodes and their leases; those that are there already stay, and are Ready again."""
        await _each(self._names, self._create)

    async def run(self) -> None:
        """Renew each node's lease every ``HEARTBEAT`` until cancelled. Start it before ``create``, which may take longer."""
        while True:
            before = _seconds() - HEARTBEAT
            await _each([name for name, last in self._renewed.items() if last <= before], self._keep)
            await asyncio.sleep(LOOK)

    async def remove(self) -> None:
        await _each(self._names, self._remove)

    async def _create(self, name: str) -> None:
        await self._create_or_else(LEASES, LEASE_NAMESPACE, _lease(name), lambda: self._renew(name))
        body = node(name, self._labels, self._gpus)
        status = {"status": body["status"]}
        await self._create_or_else("nodes", None, body, lambda: self._patch("nodes", None, name, status, "status"))
        self._renewed[name] = _seconds()

    async def _create_or_else(
        self, resource: str, namespace: str | None, body: Object, if_there: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            await self._api.create(resource, namespace, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await if_there()

    async def _keep(self, name: str) -> None:
        try:
            await self._renew(name)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            # Like a kubelet: try again; if that is too late the node is NotReady.
            log.warning("the lease of %s was not renewed: %s", name, error)

    async def _renew(self, name: str) -> None:
        await self._patch(LEASES, LEASE_NAMESPACE, name, {"spec": {"renewTime": _now(micro=True)}})
        self._renewed[name] = _seconds()

    async def _patch(self, resource: str, namespace: str | None, name: str, body: Any, sub: str | None = None) -> None:
        await self._api.request("PATCH", path_of(resource, namespace, name, sub), body, content_type=MERGE_PATCH)

    async def _remove(self, name: str) -> None:
        for resource, namespace in (("nodes", None), (LEASES, LEASE_NAMESPACE)):
            try:
                await self._api.delete(resource, namespace, name)
            except ApiError as error:
                if error.reason != "NotFound":
                    raise


def _lease(name: str) -> Object:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _now(micro=True)}
    return {"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec}


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _now(micro: bool = False) -> str:
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.now(UTC).strftime(form)


async def _each(names: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
    """Run ``act`` on every name, ``AT_ONCE`` at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await act(name)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(one(name))
