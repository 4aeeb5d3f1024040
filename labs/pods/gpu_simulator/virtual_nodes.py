"""GPU nodes that are only API objects, as KWOK's are: they have capacity and a heartbeat, and nothing runs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from labs.pods.gpu_simulator.offers import GPU
from labs.wire.kube_api import MERGE_PATCH, ApiError, KubeApi, Object, path_of

LABEL = "boring-ops-lab/virtual-node"
LEASES = "coordination.k8s.io/v1/leases"
LEASE_NAMESPACE = "kube-node-lease"
HEARTBEAT = 20.0
"""Seconds between two renewals; the node controller waits for 40."""
AT_ONCE = 20
"""Calls under way."""
TAINT = {"key": LABEL, "value": "true", "effect": "NoSchedule"}
"""Keeps pods away that do not ask for such nodes: nobody would start them."""


def node(name: str, labels: dict[str, str], cards: int) -> Object:
    """A Node with ``cards`` GPUs. Its status is written by a call of its own."""
    now = _now()
    resources = {"cpu": "96", "memory": "1Ti", "pods": "110", GPU: str(cards)}
    ready = {
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "virtual node",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels | {LABEL: "true", "kubernetes.io/hostname": name}},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": resources, "allocatable": resources, "conditions": [ready]},
    }


class VirtualNodes:
    """Nodes called ``names`` in the cluster of ``api``: ``create``, ``run`` for as long as they are to be Ready, ``remove``."""

    def __init__(self, api: KubeApi, names: list[str], labels: dict[str, str], cards: int) -> None:
        self._api = api
        self._names = names
        self._labels = labels
        self._cards = cards

    async def create(self) -> None:
        """Make all nodes and their leases; those that are there already stay."""
        await _each(self._names, self._create)

    async def run(self) -> None:
        """Renew every lease, for ever."""
        while True:
            await asyncio.gather(_each(self._names, self._renew), asyncio.sleep(HEARTBEAT))

    async def remove(self) -> None:
        await _each(self._names, self._remove)

    async def _create(self, name: str) -> None:
        body = node(name, self._labels, self._cards)
        try:
            await self._api.create("nodes", None, body)
            await self._api.create(LEASES, LEASE_NAMESPACE, _lease(name))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        await self._patch("nodes", None, name, {"status": body["status"]}, "status")

    async def _renew(self, name: str) -> None:
        await self._patch(LEASES, LEASE_NAMESPACE, name, {"spec": {"renewTime": _now(micro=True)}})

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


def _now(micro: bool = False) -> str:
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.now(UTC).strftime(form)


async def _each(names: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
    """``act`` on every name, ``AT_ONCE`` at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await act(name)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(one(name))
