"""The linked clusters' pods and endpoints, for flat and federated services: watched with the links' credentials.

A Secret in the mesh's namespace defines a cluster; when it goes, so do the cluster's endpoints. While a cluster is unreachable
or refuses the credentials, its last known state stays.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labs.wire import linkerd
from labs.wire.kube_api import KubeApi
from labs.wire.kubeconfig import credentials

log = logging.getLogger(__name__)

Object = dict[str, Any]
FOLDER = "/var/run/linkerd/credentials"
WATCHED = {"pods": "pods", "endpointslices": "discovery.k8s.io/v1/endpointslices"}


@dataclass
class RemoteCluster:
    """One linked cluster's objects by kind and uid."""

    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: {name: {} for name in WATCHED})

    @property
    def pods(self) -> list[Object]:
        return list(self.objects["pods"].values())

    @property
    def slices(self) -> list[Object]:
        return list(self.objects["endpointslices"].values())


class RemoteClusters:
    """All linked clusters by name; ``on_change`` is called after every change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.clusters: dict[str, RemoteCluster] = {}
        self._on_change = on_change
        self._tasks: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def follow(self, api: KubeApi, namespace: str) -> None:
        """Keep up with the Secrets of ``namespace`` until cancelled."""
        try:
            await api.follow("secrets", self._secret_changed, namespace, labelSelector=linkerd.CREDENTIALS_CLUSTER)
        finally:
            for _, task in self._tasks.values():
                task.cancel()

    def _secret_changed(self, kind: str, secret: Object) -> None:
        name = secret["metadata"]["labels"][linkerd.CREDENTIALS_CLUSTER]
        text = (secret.get("data") or {}).get("kubeconfig", "")
        before, task = self._tasks.get(name, ("", None))
        if kind != "DELETED" and text == before:
            return
        if task:
            task.cancel()
        if kind == "DELETED":
            self._tasks.pop(name, None)
            self.clusters.pop(name, None)
            log.info("Removed cluster %s from ClusterStore", name)
            self._on_change()
            return
        cluster = self.clusters[name] = RemoteCluster()
        log.info("Added cluster %s to ClusterStore", name)
        self._tasks[name] = (text, asyncio.create_task(self._watch(name, text, cluster)))

    async def _watch(self, name: str, kubeconfig: str, cluster: RemoteCluster) -> None:
        folder = Path(os.environ.get("CONTAINER_ROOT", "") + FOLDER) / name
        try:
            access = credentials(yaml.safe_load(base64.b64decode(kubeconfig)), folder)
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            log.error("the credentials of cluster %s cannot be read: %s", name, error)
            return
        async with KubeApi(access, user_agent="linkerd-destination") as api, asyncio.TaskGroup() as tasks:
            for kind, resource in WATCHED.items():
                tasks.create_task(api.follow(resource, self._note(cluster, kind)))

    def _note(self, cluster: RemoteCluster, kind: str) -> Callable[[str, Object], None]:
        def note(change: str, item: Object) -> None:
            uid = item["metadata"]["uid"]
            if change == "DELETED":
                cluster.objects[kind].pop(uid, None)
            else:
                cluster.objects[kind][uid] = item
            self._on_change()

        return note
