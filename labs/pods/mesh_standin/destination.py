"""``linkerd-destination``: watches the cluster and streams to each proxy what it may call and which clients it must admit.

A proxy that loses this service keeps what it has; the stream then starts again with everything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from labs.pods.mesh_standin import service, status_writer
from labs.pods.mesh_standin.default_policy import cluster_default_policy
from labs.pods.mesh_standin.egress import networks_for
from labs.pods.mesh_standin.endpoints import service_ports
from labs.pods.mesh_standin.inbound_policy import PolicyIndex
from labs.pods.mesh_standin.proxy_config import DEFAULT_POLICIES, EgressNetwork, InboundPort, ServicePort, Update
from labs.pods.mesh_standin.remote_clusters import RemoteClusters
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi, in_cluster

log = logging.getLogger(__name__)

Object = dict[str, Any]
PORT = 8086
SETTLE = 0.01
"""Seconds to wait after a change for related ones: one `kubectl apply` is several."""
STATUS_SETTLE = 0.2
"""The same before statuses are written: proxies come first."""
HEARTBEAT = 10.0
"""Seconds after which a quiet stream carries an empty line, so that both ends notice a dead connection."""
WATCHED = {
    "pods": "pods",
    "services": "services",
    "namespaces": "namespaces",
    "endpointslices": "discovery.k8s.io/v1/endpointslices",
    "servers": linkerd.SERVERS,
    "authorizationpolicies": linkerd.AUTHORIZATION_POLICIES,
    "meshtlsauthentications": linkerd.MESH_TLS_AUTHENTICATIONS,
    "networkauthentications": linkerd.NETWORK_AUTHENTICATIONS,
    "httplocalratelimitpolicies": linkerd.RATE_LIMIT_POLICIES,
    "egressnetworks": linkerd.EGRESS_NETWORKS,
    "tlsroutes": linkerd.TLS_ROUTES,
    "httproutes": linkerd.HTTP_ROUTES,
    "linkerd-httproutes": linkerd.POLICY_HTTP_ROUTES,
}
REQUIRED = ("pods", "services", "namespaces", "endpointslices")
"""Nothing is sent without these; the others may appear later (their CRDs may be missing)."""


@dataclass
class Destination:
    """The cluster's current state, and the proxies waiting for it to change."""

    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: {name: {} for name in WATCHED})
    synced: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    default_policy: str = DEFAULT_POLICIES[0]
    remotes: RemoteClusters = field(init=False)
    _services: list[ServicePort] | None = None
    _egress: dict[str, list[EgressNetwork]] = field(default_factory=dict)
    _policies: PolicyIndex | None = None

    def __post_init__(self) -> None:
        self.remotes = RemoteClusters(self.on_remote_change)

    def is_ready(self) -> bool:
        return self.synced.issuperset(REQUIRED)

    def on_change(self, name: str, change: str, item: Object) -> None:
        """Apply one watch event of the resource ``name``."""
        uid = item["metadata"]["uid"]
        if change == "DELETED":
            self.objects[name].pop(uid, None)
        else:
            self.objects[name][uid] = item
        self._policies = None
        self.on_remote_change()

    def on_remote_change(self) -> None:
        self._services = None
        self._egress = {}
        self._wake()

    def on_sync(self, name: str) -> None:
        self.synced.add(name)
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def services(self) -> list[ServicePort]:
        if self._services is None:
            services, slices, pods = (self.objects[name].values() for name in ("services", "endpointslices", "pods"))
            self._services = service_ports(services, slices, pods, self.http_routes(), self.remotes.clusters)
        return self._services

    def egress(self, namespace: str) -> list[EgressNetwork]:
        """What the pods of a namespace may call outside the cluster."""
        if namespace not in self._egress:
            ports = {(port["namespace"], port["name"], port["port"]) for port in self.services()}
            networks = self.objects["egressnetworks"].values()
            self._egress[namespace] = networks_for(namespace, networks, self.http_routes(), ports)
        return self._egress[namespace]

    def inbound(self, namespace: str, name: str) -> list[InboundPort] | None:
        """The inbound side of one pod; None while the pod has not been seen."""
        if self._policies is None:
            resources = {kind: list(items.values()) for kind, items in self.objects.items()}
            resources["httproutes"] = self.http_routes()
            self._policies = PolicyIndex(resources, self.default_policy)
        for pod in self.objects["pods"].values():
            if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == (namespace, name):
                return self._policies.inbound(pod, self._namespace(namespace))
        return None

    def http_routes(self) -> list[Object]:
        """The HTTPRoutes of both API groups."""
        return [route for name in ("httproutes", "linkerd-httproutes") for route in self.objects[name].values()]

    def _namespace(self, name: str) -> Object | None:
        return next((item for item in self.objects["namespaces"].values() if item["metadata"]["name"] == name), None)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET ``/v1/config?namespace=…&pod=…``: lines of `Update`, the first one complete, then changes, for ever."""
        namespace, pod = request.query["namespace"], request.query["pod"]
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        log.info("proxy of %s/%s connected", namespace, pod)
        sent: dict[str, Any] = {}
        while True:
            changed = self.changed
            update = self._update(namespace, pod, sent) if self.is_ready() else {}
            if update:
                sent |= update
                await response.write(json.dumps(update).encode() + b"\n")
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
                await asyncio.sleep(SETTLE)
            except TimeoutError:
                await response.write(b"\n")

    def _update(self, namespace: str, pod: str, sent: dict[str, Any]) -> Update:
        update: Update = {}
        services, inbound = self.services(), self.inbound(namespace, pod)
        if services is not sent.get("services") and services != sent.get("services"):
            update["services"] = services
        egress = self.egress(namespace)
        if egress != sent.get("egress", []):
            update["egress"] = egress
        if inbound is not None and inbound != sent.get("inbound"):
            update["inbound"] = inbound
        return update


async def serve() -> None:
    """Run until SIGTERM."""
    destination = Destination(default_policy=cluster_default_policy(os.environ))
    application = service.application(destination.is_ready)
    application.router.add_get("/v1/config", destination.stream)
    async with KubeApi(in_cluster(), user_agent="linkerd-destination") as api, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_follow(api, destination, name, resource)) for name, resource in WATCHED.items()]
        tasks.append(group.create_task(_write_status(api, destination)))
        tasks.append(group.create_task(destination.remotes.follow(api, os.environ.get("LINKERD_NAMESPACE", "linkerd"))))
        await service.run(application, PORT)
        for task in tasks:
            task.cancel()


async def _follow(api: KubeApi, destination: Destination, name: str, resource: str) -> None:
    await api.follow(
        resource,
        lambda change, item: destination.on_change(name, change, item),
        on_sync=lambda: destination.on_sync(name),
    )


async def _write_status(api: KubeApi, destination: Destination) -> None:
    while True:
        changed = destination.changed
        if destination.is_ready():
            await status_writer.write(api, destination.objects)
        await changed.wait()
        await asyncio.sleep(STATUS_SETTLE)
