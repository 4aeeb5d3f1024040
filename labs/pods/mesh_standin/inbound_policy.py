"""From a pod and the policy resources of its cluster to what its proxy admits (behaviour: linkerd-observed, files 20 to 26)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labs.pods.mesh_standin.opaque_ports import is_opaque
from labs.pods.mesh_standin.proxy_config import (
    CLUSTER_NETWORKS,
    DEFAULT_POLICIES,
    EVERYWHERE,
    GATEWAY_PORT,
    IDENTITY_DOMAIN,
    Authorization,
    InboundPort,
    InboundRoute,
    Match,
    Ref,
    default_ref,
    identity_of,
)
from labs.pods.mesh_standin.selectors import selects

Object = dict[str, Any]
POLICY = "policy.linkerd.io"
GATEWAY_API = "gateway.networking.k8s.io"
DEFAULT_POLICY_ANNOTATION = "config.linkerd.io/default-inbound-policy"
EVERY_PATH: Match = {"path_type": "PathPrefix", "path": "/"}


class PolicyIndex:
    """The policy resources of a cluster, by kind: lists of API objects."""

    def __init__(self, resources: Mapping[str, Iterable[Object]], cluster_default: str = DEFAULT_POLICIES[0]) -> None:
        self.cluster_default = cluster_default
        self.servers = sorted(resources.get("servers", ()), key=lambda s: s["metadata"].get("creationTimestamp", ""))
        self.policies = sorted(resources.get("authorizationpolicies", ()), key=lambda p: p["metadata"]["name"])
        self.routes = sorted(resources.get("httproutes", ()), key=lambda r: r["metadata"].get("creationTimestamp", ""))
        self.meshtls = {_key(item): item for item in resources.get("meshtlsauthentications", ())}
        self.networks = {_key(item): item for item in resources.get("networkauthentications", ())}

    def inbound(self, pod: Object, namespace: Object | None) -> list[InboundPort]:
        """Every TCP port the pod declares, with the Server that governs it or the default policy."""
        default = default_policy(pod, namespace, self.cluster_default)
        return [self._port(pod, port, default) for port in declared_ports(pod)]

    def _port(self, pod: Object, port: Object, default: str) -> InboundPort:
        number = port["containerPort"]
        server = self._server_for(pod, port)
        if server is None:
            ref, fallback, opaque = default_ref(default), default, is_opaque(pod, number, port.get("name"))
            authorizations = default_authorizations(default)
            routes = [] if number == GATEWAY_PORT else [probe_route(pod, port)]
        else:
            ref = _ref(server, POLICY, "server")
            fallback = server["spec"].get("accessPolicy", "deny")
            opaque = server["spec"].get("proxyProtocol") in ("opaque", "TLS")
            authorizations = [*self._authorizations_of_server(server), *default_authorizations(fallback)]
            routes = [self._route(route, server, authorizations) for route in self._routes_of(server)]
            if routes:  # with a route attached there is neither a default route nor one for probes
                return {"port": number, "server": ref, "opaque": opaque, "routes": routes}
            routes = [probe_route(pod, port)]
        last: InboundRoute = {"ref": default_ref("default"), "matches": [EVERY_PATH], "authorizations": authorizations}
        return {"port": number, "server": ref, "opaque": opaque, "routes": [*(r for r in routes if r["matches"]), last]}

    def _server_for(self, pod: Object, port: Object) -> Object | None:
        """The oldest Server of the pod's namespace that selects this port by number or by name."""
        for server in self.servers:
            wanted = server["spec"].get("port")
            if (
                server["metadata"]["namespace"] == pod["metadata"]["namespace"]
                and wanted in (port["containerPort"], str(port["containerPort"]), port.get("name"))
                and selects(server["spec"].get("podSelector"), pod["metadata"].get("labels"))
            ):
                return server
        return None

    def _routes_of(self, server: Object) -> list[Object]:
        def attached(route: Object) -> bool:
            return any(
                parent.get("kind") == "Server" and parent.get("group") == POLICY and parent["name"] == server["metadata"]["name"]
                for parent in route["spec"].get("parentRefs", ())
            )

        namespace = server["metadata"]["namespace"]
        return [route for route in self.routes if route["metadata"]["namespace"] == namespace and attached(route)]

    def _route(self, route: Object, server: Object, of_server: list[Authorization]) -> InboundRoute:
        group = route["apiVersion"].partition("/")[0]
        own = self._authorizations(route["metadata"]["namespace"], group, "HTTPRoute", route["metadata"]["name"])
        matches = [match for rule in route["spec"].get("rules", ()) for match in rule_matches(rule)]
        return {"ref": _ref(route, group, "HTTPRoute"), "matches": matches, "authorizations": [*own, *of_server]}

    def _authorizations_of_server(self, server: Object) -> list[Authorization]:
        namespace = server["metadata"]["namespace"]
        return [
            *self._authorizations(namespace, POLICY, "Server", server["metadata"]["name"]),
            *self._authorizations(namespace, "", "Namespace", namespace),
        ]

    def _authorizations(self, namespace: str, group: str, kind: str, name: str) -> list[Authorization]:
        found = []
        for policy in self.policies:
            target = policy["spec"]["targetRef"]
            same = (target.get("group", "").replace("core", ""), target["kind"], target["name"]) == (group, kind, name)
            if same and policy["metadata"]["namespace"] == namespace:
                found.append(self._authorization(policy))
        return [authorization for authorization in found if authorization is not None]

    def _authorization(self, policy: Object) -> Authorization | None:
        """None when a required authentication does not exist: such a policy admits nobody."""
        networks: list[str] = list(EVERYWHERE)
        excepted: list[str] = []
        identities: list[str] | None = None
        for required in policy["spec"].get("requiredAuthenticationRefs", ()):
            key = (required.get("namespace", policy["metadata"]["namespace"]), required["name"])
            if required["kind"] == "ServiceAccount":
                identities = [identity_of(key[1], key[0])]
            elif required["kind"] == "MeshTLSAuthentication" and key in self.meshtls:
                identities = list(mesh_identities(self.meshtls[key]))
            elif required["kind"] == "NetworkAuthentication" and key in self.networks:
                entries = self.networks[key]["spec"]["networks"]
                networks = [network["cidr"] for network in entries]
                excepted = [cidr for network in entries for cidr in network.get("except") or ()]
            else:
                return None
        found: Authorization = {
            "ref": _ref(policy, POLICY, "authorizationpolicy"),
            "networks": networks,
            "identities": identities,
        }
        return {**found, "excepted": excepted} if excepted else found


def cluster_default_policy(env: Mapping[str, str]) -> str:
    """What ``linkerd install --set proxy.defaultInboundPolicy`` chose."""
    return env.get("DEFAULT_INBOUND_POLICY", DEFAULT_POLICIES[0])


def default_policy(pod: Object, namespace: Object | None, cluster_default: str) -> str:
    """The annotated default policy, the pod's before the namespace's; an unknown value is ignored, as Linkerd does."""
    for owner in (pod, namespace):
        value = ((owner or {}).get("metadata", {}).get("annotations") or {}).get(DEFAULT_POLICY_ANNOTATION)
        if value in DEFAULT_POLICIES:
            return str(value)
    return cluster_default


def default_authorizations(policy: str) -> list[Authorization]:
    """What a default policy or a Server's ``accessPolicy`` admits: nothing for ``deny``."""
    if policy == "deny":
        return []
    networks = CLUSTER_NETWORKS if policy.startswith("cluster-") else EVERYWHERE
    identities = ["*"] if policy.endswith("-authenticated") else None
    return [{"ref": default_ref(policy), "networks": list(networks), "identities": identities}]


def declared_ports(pod: Object) -> Iterator[Object]:
    """The TCP ports of all containers, sidecars included, but for the proxy's own outbound and admin ports."""
    spec = pod["spec"]
    for container in [
        *spec.get("containers", ()),
        *(c for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"),
    ]:
        for port in container.get("ports", ()):
            served = container["name"] != "linkerd-proxy" or port["containerPort"] == GATEWAY_PORT
            if port.get("protocol", "TCP") == "TCP" and served:
                yield port


def probe_route(pod: Object, port: Object) -> InboundRoute:
    """GET on the exact paths the kubelet probes on this port is admitted from anywhere, whatever the policy."""
    paths = sorted(_probe_paths(pod, port))
    everyone: Authorization = {"ref": default_ref("probe"), "networks": list(EVERYWHERE), "identities": None}
    matches: list[Match] = [{"path_type": "Exact", "path": path, "method": "GET"} for path in paths]
    return {"ref": default_ref("probe"), "matches": matches, "authorizations": [everyone]}


def _probe_paths(pod: Object, port: Object) -> set[str]:
    found = set()
    for container in [*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ())]:
        for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
            http = (container.get(kind) or {}).get("httpGet")
            if http and http["port"] in (port["containerPort"], port.get("name")):
                found.add((http.get("path") or "/").partition("?")[0])
    return found


def mesh_identities(authentication: Object) -> Iterator[str]:
    """The identities a MeshTLSAuthentication names, by name (``*`` and ``*.suffix`` too) or by reference."""
    spec = authentication["spec"]
    yield from spec.get("identities", ())
    for ref in spec.get("identityRefs", ()):
        if ref["kind"] == "Namespace":
            yield f"*.{ref['name']}.{IDENTITY_DOMAIN}"
        else:
            yield identity_of(ref["name"], ref.get("namespace", authentication["metadata"]["namespace"]))


def rule_matches(rule: Object) -> Iterator[Match]:
    """An HTTPRoute rule's matches; a rule without any matches every request."""
    for item in rule.get("matches") or [{}]:
        path = item.get("path", {})
        match: Match = {"path_type": path.get("type", "PathPrefix"), "path": path.get("value", "/")}
        if "method" in item:
            match["method"] = item["method"]
        if item.get("headers"):
            match["headers"] = [
                {"name": h["name"], "value": h["value"], "regex": h.get("type") == "RegularExpression"} for h in item["headers"]
            ]
        yield match


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _ref(item: Object, group: str, kind: str) -> Ref:
    return {"group": group, "kind": kind, "name": item["metadata"]["name"]}
