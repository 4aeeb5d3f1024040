"""Derives from a pod and its cluster's policy resources what its proxy admits (behaviour: recordings/linkerd, files 20 to 26)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labs.pods.mesh_standin.default_policy import default_authorizations, default_policy
from labs.pods.mesh_standin.http_route import Unusable, converted, group_of, inbound_filters, matches, rules_of
from labs.pods.mesh_standin.opaque_ports import is_opaque
from labs.pods.mesh_standin.proxy_config import (
    DEFAULT_POLICIES,
    EVERY_PATH,
    EVERYWHERE,
    Authorization,
    InboundPort,
    InboundRoute,
    Match,
    Ref,
    default_ref,
)
from labs.pods.mesh_standin.rate_limit import limits_of_server
from labs.pods.mesh_standin.selectors import selects
from labs.wire import linkerd
from labs.wire.linkerd import GATEWAY_PORT, identity_domain, identity_of

Object = dict[str, Any]


class PolicyIndex:
    """The policy resources of a cluster, by kind: lists of API objects."""

    def __init__(self, resources: Mapping[str, Iterable[Object]], cluster_default: str = DEFAULT_POLICIES[0]) -> None:
        self.cluster_default = cluster_default
        self.servers = sorted(resources.get("servers", ()), key=lambda s: s["metadata"].get("creationTimestamp", ""))
        self.policies = sorted(resources.get("authorizationpolicies", ()), key=lambda p: p["metadata"]["name"])
        self.routes = sorted(resources.get("httproutes", ()), key=lambda r: r["metadata"].get("creationTimestamp", ""))
        self.rate_limits = list(resources.get("httplocalratelimitpolicies", ()))
        self.meshtls = {_key(item): item for item in resources.get("meshtlsauthentications", ())}
        self.networks = {_key(item): item for item in resources.get("networkauthentications", ())}

    def inbound(self, pod: Object, namespace: Object | None) -> list[InboundPort]:
        """Every TCP port the pod declares, with the Server that governs it or the default policy."""
        default = default_policy(pod, namespace, self.cluster_default)
        return [self._port(pod, port, default) for port in declared_ports(pod)]

    def _port(self, pod: Object, port: Object, default: str) -> InboundPort:
        server = self._server_for(pod, port)
        found = self._governed(port, server) if server else _by_default(pod, port, default)
        if not found["routes"]:  # with a route attached there is neither a default route nor one for probes
            everything: InboundRoute = {
                "ref": default_ref("default"),
                "matches": [EVERY_PATH],
                "authorizations": found["authorizations"],
            }
            is_gateway = server is None and port["containerPort"] == GATEWAY_PORT
            probes = [] if is_gateway else [route for route in [probe_route(pod, port)] if route["matches"]]
            found["routes"] = [*probes, everything]
        return found

    def _governed(self, port: Object, server: Object) -> InboundPort:
        """A port as its Server defines it, with the routes that are attached to the Server."""
        spec = server["spec"]
        authorizations = [*self._authorizations_of_server(server), *default_authorizations(spec.get("accessPolicy", "deny"))]
        found: InboundPort = {
            "port": port["containerPort"],
            "server": _ref(server, linkerd.POLICY, "server"),
            "opaque": spec.get("proxyProtocol") in ("opaque", "TLS"),
            "authorizations": authorizations,
            "routes": [rule for route in self._routes_of(server) for rule in self._rules(route, authorizations)],
        }
        if limits := limits_of_server(server, self.rate_limits):
            found["rate_limit"] = limits
        return found

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
        meta = server["metadata"]
        same_namespace = [route for route in self.routes if route["metadata"]["namespace"] == meta["namespace"]]
        return [route for route in same_namespace if any(_is_server(parent, meta["name"]) for parent in _parent_refs(route))]

    def _rules(self, route: Object, of_server: list[Authorization]) -> list[InboundRoute]:
        """The rules of a route, each admitting the clients that the route or its Server admits; none if the route is unusable."""
        group = group_of(route)
        own = self._authorizations(route["metadata"]["namespace"], group, "HTTPRoute", route["metadata"]["name"])
        ref = _ref(route, group, "HTTPRoute")

        def convert() -> list[InboundRoute]:
            _check_parents(route)
            return [_rule(route, rule, ref, [*own, *of_server]) for rule in rules_of(route)]

        return converted(route, convert) or []

    def _authorizations_of_server(self, server: Object) -> list[Authorization]:
        namespace = server["metadata"]["namespace"]
        return [
            *self._authorizations(namespace, linkerd.POLICY, "Server", server["metadata"]["name"]),
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
            "ref": _ref(policy, linkerd.POLICY, "authorizationpolicy"),
            "networks": networks,
            "identities": identities,
        }
        return {**found, "excepted": excepted} if excepted else found


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
            yield f"*.{ref['name']}.{identity_domain()}"
        else:
            yield identity_of(ref["name"], ref.get("namespace", authentication["metadata"]["namespace"]))


def _by_default(pod: Object, port: Object, default: str) -> InboundPort:
    """A port that no Server selects."""
    return {
        "port": port["containerPort"],
        "server": default_ref(default),
        "opaque": is_opaque(pod, port["containerPort"], port.get("name")),
        "authorizations": default_authorizations(default),
        "routes": [],
    }


def _parent_refs(route: Object) -> list[Object]:
    return route["spec"].get("parentRefs") or []


def _is_server(parent: Object, name: str | None = None) -> bool:
    is_one = (parent.get("group"), parent.get("kind")) == (linkerd.POLICY, "Server")
    return is_one and name in (None, parent["name"])


def _check_parents(route: Object) -> None:
    """Raises Unusable, as ``inbound/routes.rs`` of the policy controller does."""
    for parent in filter(_is_server, _parent_refs(route)):
        if parent.get("namespace") not in (None, route["metadata"]["namespace"]):
            raise Unusable("route resource may not reference a parent Server in an other namespace")
        for field, words in (("port", "port"), ("sectionName", "section name")):
            if parent.get(field) is not None:
                raise Unusable(f"route resource may not reference a parent by {words}")


def _rule(route: Object, rule: Object, ref: Ref, authorizations: list[Authorization]) -> InboundRoute:
    found: InboundRoute = {"ref": ref, "matches": matches(route, rule), "authorizations": authorizations}
    if filters := inbound_filters(rule):
        found["filters"] = filters
    return found


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _ref(item: Object, group: str, kind: str) -> Ref:
    return {"group": group, "kind": kind, "name": item["metadata"]["name"]}
