"""What pods of a node share, for tests of single parts: real where that costs nothing, else what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from labs import topology
from labs.embedded import plan
from labs.embedded.node import restore
from labs.embedded.node.context import PodContext, Services
from labs.embedded.node.model import Node, Object, PodRecord
from labs.embedded.node.sources import MissingSource
from labs.embedded.node.volumes import Volumes

CLUSTER = plan.ClusterPlan(topology.find("app"))
NODE = Node(CLUSTER, CLUSTER.spec.nodes[1])
"""app-worker, whatever this checkout's own lab looks like."""


class FakeSources:
    """ConfigMaps and Secrets by (resource, name)."""

    def __init__(self, objects: dict[tuple[str, str], Object] | None = None, services: list[Object] | None = None) -> None:
        self.objects = objects or {}
        self._services = services or []

    async def get(self, resource: str, namespace: str, name: str) -> Object:
        if (resource, name) not in self.objects:
            raise MissingSource(f'{resource.removesuffix("s")} "{name}" not found')
        return self.objects[resource, name]

    async def services(self, namespace: str) -> list[Object]:
        return self._services


class FakeEvents:
    """Keeps (type, reason, message)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def record(self, pod: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        self.seen.append((kind, reason, message))


class NoDevices:
    """A node without device plugins."""

    def manages(self, resource: str) -> bool:
        return False

    def release(self, pod_uid: str) -> None:
        return None

    def health(self, resource: str, device_ids: Sequence[str]) -> dict[str, str]:
        return {}


class FakeNodes:
    """The part of the API that knows this node; ``labels`` as somebody has set them."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        return {"metadata": {"name": name, "labels": self.labels}}


def services(**changes: Any) -> Services:
    found = {
        "node": NODE,
        "api": FakeNodes(),
        "sources": FakeSources(),
        "events": FakeEvents(),
        "devices": NoDevices(),
        "admission": asyncio.Lock(),
        "allocatable": lambda: {"cpu": "4", "memory": "8Gi", "pods": "110"},
    }
    return cast(Services, SimpleNamespace(**(found | changes)))


def pod(name: str = "web", **spec: Any) -> Object:
    body = {"containers": [{"name": "main", "image": "busybox:1"}], "restartPolicy": "Always"} | spec
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
    return {"metadata": metadata, "spec": body, "status": {"qosClass": "Burstable"}}


def record(folder: Path, *, name: str = "web", **spec: Any) -> PodRecord:
    found = restore.pod_record(pod(name, **spec), folder)
    found.ip = "10.10.2.7"
    return found


def context(folder: Path, shared: Services | None = None, **spec: Any) -> PodContext:
    shared = shared or services()
    found = record(folder, **spec)
    volumes = Volumes(shared.node, found, shared.sources, shared.allocatable())
    published: list[None] = []
    return PodContext(shared, found, volumes, lambda: published.append(None))
