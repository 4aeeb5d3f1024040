"""Envoy's configuration: its bootstrap file once, everything else through discovery whenever it changes."""

from __future__ import annotations

from labs.pods.mesh_standin import envoy_balancer, envoy_gateway, envoy_inbound, envoy_outbound
from labs.pods.mesh_standin.discovery import SOCKET, Discovery
from labs.pods.mesh_standin.envoy_types import ANCHORS_SECRET, DISCOVERY_CLUSTER, IDENTITY_SECRET, SECRET, Message, discovered
from labs.pods.mesh_standin.proxy_config import EgressNetwork, InboundPort, ServicePort, Update, service_key
from labs.wire.addresses import shadow
from labs.wire.linkerd import GATEWAY_PORT

ADMIN_SOCKET = "admin.sock"
"""In Envoy's working directory, like the discovery socket: a relative path stays under a socket's limit of 107 bytes."""


def bootstrap(identity: str, anchors: str) -> Message:
    """Envoy's start configuration; ``anchors``: the mesh's trust anchors (PEM), which stay as long as the pod."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": SOCKET}}}}
    discovery = {
        "name": DISCOVERY_CLUSTER,
        "type": "STATIC",
        "load_assignment": {"cluster_name": DISCOVERY_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {
        "node": {"id": identity, "cluster": DISCOVERY_CLUSTER},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET}}},
        "dynamic_resources": {"cds_config": discovered(), "lds_config": discovered()},
        "static_resources": {
            "clusters": [discovery, envoy_balancer.pause_cluster()],
            "listeners": [envoy_balancer.pause_listener()],
            # Not discovered: each resource Envoy asks for costs it 0.2 MB, since it keeps a list of its extensions for each.
            "secrets": [{"name": ANCHORS_SECRET, "validation_context": {"trusted_ca": {"inline_string": anchors}}}],
        },
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"suffix": "cx_active"}]}}},
    }


class EnvoyConfig:
    """Keeps ``discovery`` in step with what the destination service says.

    ``host`` is the pod's wire address, ``cluster_proxy`` host and port of the cluster's own forward proxy; ``log_requests``:
    whether the records contain the fields of an access log.
    """

    def __init__(
        self, host: str, namespace: str, identity: str, cluster_proxy: tuple[str, int], *, log_requests: bool = False
    ) -> None:
        self.log_requests = log_requests
        self.host, self.namespace, self.identity, self.cluster_proxy = host, namespace, identity, cluster_proxy
        self.discovery = Discovery()
        self.inbound: list[InboundPort] = []
        self.services: list[ServicePort] = []
        self.egress: list[EgressNetwork] = []
        self._identities: dict[str, set[str]] = {}

    def set_certificate(self, chain: str, key: str) -> None:
        """The pod's certificate for every TLS context (PEM)."""
        certificate = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
        secret = {"@type": SECRET, "name": IDENTITY_SECRET, "tls_certificate": certificate}
        self.discovery.set("secrets", {IDENTITY_SECRET: secret})

    def apply(self, update: Update) -> None:
        """Apply the sections of ``update``: a resource goes before those that refer to it."""
        self.inbound = update.get("inbound", self.inbound)
        self.services = update.get("services", self.services)
        self.egress = update.get("egress", self.egress)
        for kind, resources in (("clusters", self._clusters()), ("routes", self._routes()), ("listeners", self._listeners())):
            self.discovery.set(kind, {resource["name"]: resource for resource in resources})

    def _clusters(self) -> list[Message]:
        apps = [
            envoy_inbound.app_cluster(port["port"], shadow(self.host)) for port in self.inbound if port["port"] != GATEWAY_PORT
        ]
        return [
            *apps,
            *(envoy_outbound.cluster(service, self.host, self._known_identities(service)) for service in self.services),
            envoy_outbound.passthrough_cluster(*self.cluster_proxy),
        ]

    def _known_identities(self, service: ServicePort) -> list[str]:
        # Identities seen once stay: connections to the remaining endpoints need not be re-established.
        known = self._identities.setdefault(service_key(service), set())
        known.update(endpoint["identity"] for endpoint in service["endpoints"] if endpoint["identity"])
        return sorted(known)

    def _routes(self) -> list[Message]:
        found = [envoy_outbound.routes(self.services, self.namespace, self.egress)]
        for port in self.inbound:
            if port["port"] == GATEWAY_PORT:
                found.append(envoy_gateway.routes(port, self.services, self.identity))
            else:
                found.append(envoy_inbound.routes(port))
        return found

    def _listeners(self) -> list[Message]:
        found = [envoy_outbound.listener([shadow(self.host), self.host])]
        for port in self.inbound:
            if port["port"] == GATEWAY_PORT:
                found.append(envoy_gateway.listener(self.host, self.identity, log_requests=self.log_requests))
            else:
                found.append(envoy_inbound.listener(port, self.host, self.identity, log_requests=self.log_requests))
        return found
