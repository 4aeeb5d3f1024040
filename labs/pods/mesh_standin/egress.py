"""EgressNetworks: what a pod may call outside the cluster, and the HTTPRoutes attached to that.

Behaviour: linkerd2, policy-controller (``outbound/index/egress_network.rs``, ``grpc/src/outbound/http.rs``,
``status/src/index.rs``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence, Set
from typing import Any

from labs.pods.mesh_standin.http_route import converted, rules_of
from labs.pods.mesh_standin.outbound_policy import PortKey, by_age, outbound_rule, parents_of, route_policy
from labs.pods.mesh_standin.proxy_config import CLUSTER_NETWORKS, EVERYWHERE, EgressNetwork, EgressRoute, Network, RoutePolicy

Object = dict[str, Any]
Key = tuple[str, str]
GLOBAL_NAMESPACE = "linkerd-egress"
"""Linkerd's default ``egress.globalEgressNetworkNamespace``: its networks are for namespaces without any of their own."""
KIND = "EgressNetwork"


def networks_for(
    namespace: str, networks: Iterable[Object], routes: Sequence[Object], ports: Set[PortKey]
) -> list[EgressNetwork]:
    """The networks that govern a namespace's calls, in order of preference among equally narrow ones."""
    found = sorted(networks, key=by_age)
    own = [item for item in found if item["metadata"]["namespace"] == namespace]
    shared = [item for item in found if item["metadata"]["namespace"] == GLOBAL_NAMESPACE]
    return [_network(item, routes, ports) for item in own or shared]


def _network(item: Object, routes: Sequence[Object], ports: Set[PortKey]) -> EgressNetwork:
    meta, spec = item["metadata"], item["spec"]
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "networks": _networks(spec),
        "allow": spec["trafficPolicy"] == "Allow",
        "policy": route_policy(item),
        "routes": _routes((meta["namespace"], meta["name"]), route_policy(item), routes, ports),
    }


def _networks(spec: Object) -> list[Network]:
    """The networks it lists, or everything outside the cluster."""
    if spec.get("networks") is None:
        return [
            {"cidr": cidr, "excepted": [inside for inside in CLUSTER_NETWORKS if (":" in inside) == (":" in cidr)]}
            for cidr in EVERYWHERE
        ]
    return [{"cidr": row["cidr"], "excepted": list(row.get("except") or ())} for row in spec["networks"]]


def _routes(key: Key, defaults: RoutePolicy, routes: Sequence[Object], ports: Set[PortKey]) -> list[EgressRoute]:
    found: list[EgressRoute] = []
    for route in sorted(routes, key=by_age):
        for parent in parents_of(route, KIND):
            if (parent["namespace"], parent["name"]) == key and parent.get("port"):
                found += _rules(route, parent["port"], key, defaults, ports)
    return found


def _rules(route: Object, port: int, key: Key, defaults: RoutePolicy, ports: Set[PortKey]) -> list[EgressRoute]:
    parent = (*key, port)

    def convert() -> list[EgressRoute]:
        rules = [outbound_rule(route, rule, parent, defaults, ports, egress=key) for rule in rules_of(route)]
        return [{"port": port, "rule": rule} for rule in rules]

    return converted(route, convert) or []


def condition(item: Object) -> Object:
    """The network's Accepted condition, without its time."""
    overlaps = any(_reaches_inside(row["cidr"], row["excepted"]) for row in _networks(item["spec"]))
    reason, message = ("EgressReasonNetworkOverlap", "networks overlap with clusterNetworks") if overlaps else ("Accepted", "")
    return {"type": "Accepted", "status": str(not overlaps), "reason": reason, "message": message}


def _reaches_inside(cidr: str, excepted: Iterable[str]) -> bool:
    """Whether a network, without its exceptions, has an address of the cluster."""
    outer = ipaddress.ip_network(cidr, strict=False)
    inside = [net for net in map(ipaddress.ip_network, CLUSTER_NETWORKS) if net.version == outer.version and net.overlaps(outer)]
    without = [ipaddress.ip_network(text, strict=False) for text in excepted]
    return any(not any(_covers(hole, _smaller(net, outer)) for hole in without) for net in inside)


IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _smaller(one: IpNetwork, other: IpNetwork) -> IpNetwork:
    """The intersection of two overlapping networks."""
    return one if one.prefixlen >= other.prefixlen else other


def _covers(outer: IpNetwork, inner: IpNetwork) -> bool:
    return outer.version == inner.version and outer.prefixlen <= inner.prefixlen and outer.overlaps(inner)
