"""The service mirror: for one Link, keeps a local Service for every Service the other cluster exports.

On each change it reconciles the cluster with all it knows (level-triggered): a missed event or a restart cannot
leave a stale mirror behind.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import logging
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from labs.pods.mesh_standin import federation
from labs.pods.mesh_standin import mirror_objects as objects
from labs.pods.mesh_standin.gateway_probe import GatewayProbe, ProbeMetrics, ProbeSpec
from labs.pods.mesh_standin.mirror_objects import Gateway
from labs.pods.mesh_standin.mirror_writer import Federated, MirrorWriter, Wanted
from labs.wire import linkerd
from labs.wire.kube_api import ApiError, KubeApi, Object, in_cluster
from labs.wire.kubeconfig import credentials

log = logging.getLogger(__name__)
NAMESPACE = "linkerd-multicluster"
ADMIN_PORT = 9999
CREDENTIALS = "/var/run/linkerd/credentials"
RETRY = 1.0
"""Seconds before a failed pass is retried."""
RESYNC = 30.0
"""Seconds after which the mirrors are compared again even without an event."""
Key = tuple[str, str]


@dataclass
class Remote:
    """What is known about the other cluster: Services by (namespace, name), and their Endpoints."""

    services: dict[Key, Object] = field(default_factory=dict)
    endpoints: dict[Key, Object] = field(default_factory=dict)
    synced: bool = False


class LinkWorker:
    """Mirrors for one Link object; replaced when its spec or its credentials change."""

    def __init__(self, api: KubeApi, link: Object, local_namespaces: set[str], metrics: ProbeMetrics) -> None:
        self._api, self._link = api, link
        self._local: dict[Key, Object] = {}
        self.cluster: str = link["spec"]["targetClusterName"]
        self._domain: str = link["spec"].get("targetClusterDomain", "cluster.local")
        self._remote = Remote()
        self._namespaces = local_namespaces
        self.changed = asyncio.Event()
        self.probe = GatewayProbe(self.cluster, ProbeSpec.of(link), metrics, self.changed.set)
        self.writer = MirrorWriter(api, link, NAMESPACE)

    async def run(self, kubeconfig: Object) -> None:
        folder = Path(os.environ.get("CONTAINER_ROOT", "") + CREDENTIALS) / self.cluster
        async with KubeApi(credentials(kubeconfig, folder), user_agent="service-mirror") as remote, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.probe.run())
            tasks.create_task(remote.follow("services", self._service_changed, on_sync=self._synced))
            tasks.create_task(remote.follow("endpoints", self._endpoints_changed, labelSelector=linkerd.EXPORTED))
            tasks.create_task(self._api.follow("services", self._local_changed))
            tasks.create_task(self._reconcile_forever())

    def _service_changed(self, kind: str, service: Object) -> None:
        self._note(self._remote.services, kind, service)

    def _local_changed(self, kind: str, service: Object) -> None:
        labels = service["metadata"].get("labels") or {}
        if linkerd.FEDERATED in labels or linkerd.MIRRORED_SERVICE in labels or self._key(service) in self._local:
            self._note(self._local, kind, service)

    def _endpoints_changed(self, kind: str, endpoints: Object) -> None:
        self._note(self._remote.endpoints, kind, endpoints)

    def _note(self, known: dict[Key, Object], kind: str, item: Object) -> None:
        key = self._key(item)
        if kind == "DELETED":
            known.pop(key, None)
        else:
            known[key] = item
        self.changed.set()

    def _key(self, item: Object) -> Key:
        return item["metadata"]["namespace"], item["metadata"]["name"]

    def _synced(self) -> None:
        self._remote.synced = True
        self.changed.set()

    async def _reconcile_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), RESYNC)
            self.changed.clear()
            # Before the first complete list, "not exported" may only mean "not seen yet".
            if self._remote.synced:
                await self._reconcile()

    async def _reconcile(self) -> None:
        try:
            await self.writer.reconcile(self.wanted(), self.federated(), self.skipped(), self.probe.alive)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.error("the local API server: %s; trying again", error)
            await asyncio.sleep(RETRY)
            self.changed.set()

    def exported(self, selector: str = "selector") -> list[Object]:
        """The remote Services that one of the Link's selectors matches."""
        wanted = self._link["spec"].get(selector)
        chosen = [
            item for item in self._remote.services.values() if objects.matches(wanted, item["metadata"].get("labels") or {})
        ]
        return sorted(chosen, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))

    def wanted(self) -> Wanted:
        """For each Service that can be mirrored: the remote one, the mirror, and the mirror's Endpoints."""
        found: Wanted = [(remote, *self._mirror(remote)) for remote in self.exported() if self._has_namespace(remote)]
        for remote in self.exported("remoteDiscoverySelector"):
            if self._has_namespace(remote):
                found.append((remote, federation.flat_service(remote, self.cluster, self._domain), None))
        return found

    def federated(self) -> Federated:
        """For each remote member of a federated Service: itself, and the Service of all members."""
        found = []
        for remote in self.exported("federatedServiceSelector"):
            key = (remote["metadata"]["namespace"], remote["metadata"]["name"])
            if self._has_namespace(remote):
                now = self._local.get((key[0], federation.federated_name(key[1])))
                members = {*federation.remote_members(now), f"{key[1]}@{self.cluster}"}
                local = key[1] if key in self._local and _is_member(self._local[key]) else None
                found.append((remote, federation.federated_service(remote, local, sorted(members))))
        return found

    def skipped(self) -> list[Object]:
        """Exported Services whose namespace does not exist here: like Linkerd, the mirror does not create namespaces."""
        exported = [*self.exported(), *self.exported("remoteDiscoverySelector")]
        return [remote for remote in exported if not self._has_namespace(remote)]

    def _has_namespace(self, remote: Object) -> bool:
        return remote["metadata"]["namespace"] in self._namespaces

    def _mirror(self, remote: Object) -> tuple[Object, Object]:
        behind = self._remote.endpoints.get((remote["metadata"]["namespace"], remote["metadata"]["name"]))
        return objects.service(remote, self.cluster, self._domain), objects.endpoints(
            remote,
            self.cluster,
            self._domain,
            Gateway.of(self._link),
            alive=self.probe.alive,
            has_endpoints=objects.has_ready_address(behind),
        )


def _is_member(service: Object) -> bool:
    return (service["metadata"].get("labels") or {}).get(linkerd.FEDERATED) == "member"


class Controller:
    """Follows one Link by name, its credentials and the local namespaces; runs a worker while there is a link to serve."""

    def __init__(self, api: KubeApi, link_name: str, registry: CollectorRegistry) -> None:
        self._api = api
        self._name = link_name
        self._metrics = ProbeMetrics(registry)
        self._mirrored = Gauge("mirrored_services", "Services mirrored", ["target_cluster_name"], registry=registry)
        self._mirrored.labels(link_name).set_function(self._count)
        self._metrics.alive.labels(link_name).set(0)
        self._link: Object | None = None
        self._secret: Object | None = None
        self._namespaces: set[str] = set()
        self._changed = asyncio.Event()
        self._worker: LinkWorker | None = None
        self.ready = False

    def _count(self) -> float:
        return float(self._worker.writer.count) if self._worker else 0.0

    async def run(self) -> None:
        field_selector = f"metadata.name={self._name}"
        secret_selector = f"metadata.name=cluster-credentials-{self._name}"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._api.follow("namespaces", self._namespace_changed, on_sync=self._synced))
            tasks.create_task(self._api.follow(linkerd.LINKS, self._link_changed, NAMESPACE, fieldSelector=field_selector))
            tasks.create_task(self._api.follow("secrets", self._secret_changed, NAMESPACE, fieldSelector=secret_selector))
            tasks.create_task(self._serve_forever())

    def _synced(self) -> None:
        self.ready = True

    def _namespace_changed(self, kind: str, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        (self._namespaces.discard if kind == "DELETED" else self._namespaces.add)(name)
        if self._worker:
            self._worker.changed.set()

    def _link_changed(self, kind: str, link: Object) -> None:
        before, self._link = self._link, None if kind == "DELETED" else link
        # We write the status: only a changed spec calls for a new worker.
        if (before or {}).get("spec") != (self._link or {}).get("spec"):
            self._changed.set()

    def _secret_changed(self, kind: str, secret: Object) -> None:
        before, self._secret = self._secret, None if kind == "DELETED" else secret
        if (before or {}).get("data") != (self._secret or {}).get("data"):
            self._changed.set()

    async def _serve_forever(self) -> None:
        task: asyncio.Task[None] | None = None
        while True:
            await self._next_change(task)
            if self._link is None and self._worker:
                await self._worker.writer.remove_all()
            task = self._start()

    async def _next_change(self, task: asyncio.Task[None] | None) -> None:
        """Wait for a change and stop the worker. A worker that fails ends the program: Kubernetes restarts it with back-off."""
        change = asyncio.create_task(self._changed.wait())
        await asyncio.wait([change, *filter(None, [task])], return_when=asyncio.FIRST_COMPLETED)
        self._changed.clear()
        change.cancel()
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _start(self) -> asyncio.Task[None] | None:
        self._worker = None
        if not self._link or not self._secret:
            log.info("waiting for %s", "the link" if not self._link else "its credentials")
            self._metrics.alive.labels(self._name).set(0)
            return None
        log.info("Got updated link %s", self._name)
        self._worker = LinkWorker(self._api, self._link, self._namespaces, self._metrics)
        kubeconfig = yaml.safe_load(base64.b64decode(self._secret["data"]["kubeconfig"]))
        return asyncio.create_task(self._worker.run(kubeconfig))


async def serve(link_name: str) -> None:
    """Run the controller and its admin endpoint until SIGTERM."""
    registry = CollectorRegistry()
    async with KubeApi(in_cluster(), user_agent="service-mirror") as api:
        controller = Controller(api, link_name, registry)
        runner = web.AppRunner(admin(controller, registry), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "0.0.0.0"), ADMIN_PORT).start()
        work = asyncio.create_task(controller.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await runner.cleanup()


def admin(controller: Controller, registry: CollectorRegistry) -> web.Application:
    async def ping(_: web.Request) -> web.Response:
        return web.Response(text="pong\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ok\n", status=200 if controller.ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/ping", ping), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app


def main(argv: list[str]) -> int:
    """``service-mirror [--log-level=LEVEL] LINK``."""
    parser = argparse.ArgumentParser(prog="mesh-standin service-mirror")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("link", help="name of the Link, which is the other cluster's name")
    arguments = parser.parse_args(argv)
    logging.getLogger().setLevel(arguments.log_level.upper())
    asyncio.run(serve(arguments.link))
    return 0
