"""Calls that leave the cluster: ``egress.lua`` finds the EgressNetwork of an address, then a route of that network is chosen.

A request arrives without a network, so it first matches the last route; the script names its network in the dynamic
metadata and lets Envoy choose again. A client cannot choose for it, as it could if the name were a header.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from labs.pods.mesh_standin import envoy_balancer
from labs.pods.mesh_standin.envoy_outbound_routes import PASSTHROUGH, forward
from labs.pods.mesh_standin.envoy_routes import header_changes, precedence, redirect, route_match
from labs.pods.mesh_standin.envoy_types import Message, typed
from labs.pods.mesh_standin.proxy_config import (
    EVERY_PATH,
    Backend,
    EgressNetwork,
    EgressRoute,
    Match,
    ServicePort,
)

NAME = "egress"
SCRIPT = os.path.join(os.path.dirname(__file__), "egress.lua")
DENIED = "traffic not allowed"
ALLOW_ROUTE, DENY_ROUTE = "http-egress-allow", "http-egress-deny"


def egress_filter() -> Message:
    with open(SCRIPT) as file:
        script = {"inline_string": file.read()}
    return {"name": NAME, "typed_config": typed("filters.http.lua.v3.Lua", default_source_code=script)}


def routes(networks: Sequence[EgressNetwork], services: Mapping[str, ServicePort]) -> list[Message]:
    """All routes for calls to anything but a Service."""
    found = [route for network in networks for route in _of_network(network, services)]
    context = {NAME: typed("filters.http.lua.v3.LuaPerRoute", filter_context={"networks": networks_text(networks)})}
    rest = {"match": {"prefix": "/"}, "route": {"cluster": PASSTHROUGH, "timeout": "0s"}}
    return [*found, {"name": "endpoint", **rest, "typed_per_filter_config": context if networks else {}}]


def networks_text(networks: Sequence[EgressNetwork]) -> str:
    """What the script reads: ``NAMESPACE/NAME CIDR EXCEPTION …``, a line for each network's CIDR."""
    return "\n".join(
        " ".join([f"{item['namespace']}/{item['name']}", row["cidr"], *row["excepted"]])
        for item in networks
        for row in item["networks"]
    )


def _of_network(network: EgressNetwork, services: Mapping[str, ServicePort]) -> list[Message]:
    pairs = [(match, route) for route in network["routes"] for match in route["rule"]["matches"]]
    found = [_route(network, route, match, services) for match, route in sorted(pairs, key=lambda pair: precedence(pair[0]))]
    return [*found, _default(network, services)]


def _key(network: EgressNetwork) -> str:
    return f"{network['namespace']}/{network['name']}"


def _prefix(network: EgressNetwork) -> str:
    return f"egress|{network['namespace']}|{network['name']}"


def _in_network(match: Match, **value: str) -> Message:
    """``match`` for requests whose network, as the script wrote it, is NAMESPACE/NAME:PORT."""
    wanted = {"filter": envoy_balancer.METADATA, "path": [{"key": "egress"}], "value": {"string_match": value}}
    return route_match(match) | {"dynamic_metadata": [wanted]}


def _route(network: EgressNetwork, route: EgressRoute, match: Match, services: Mapping[str, ServicePort]) -> Message:
    rule = route["rule"]
    ref, filters = rule["ref"], rule.get("filters", {})
    found: Message = {
        "name": f"{_prefix(network)}|{route['port']}|{ref['group']}/{ref['namespace']}/{ref['name']}",
        "match": _in_network(match, exact=f"{_key(network)}:{route['port']}"),
        **header_changes(filters),
    }
    if "redirect" in filters:
        return found | redirect(filters["redirect"], match, route["port"])
    logical = f"EgressNetwork {_key(network)}:{route['port']}: route HTTPRoute.{ref['namespace']}.{ref['name']}"
    return found | forward(rule["backends"], rule["policy"], filters, logical, services)


def _default(network: EgressNetwork, services: Mapping[str, ServicePort]) -> Message:
    named = {
        "name": f"{_prefix(network)}|0|{ALLOW_ROUTE if network['allow'] else DENY_ROUTE}",
        "match": _in_network(EVERY_PATH, prefix=f"{_key(network)}:"),
    }
    if not network["allow"]:
        denied = envoy_balancer.failing(403, DENIED)
        return named | {"route": {"cluster": PASSTHROUGH}, "typed_per_filter_config": denied}
    own: Backend = {
        "namespace": network["namespace"],
        "name": network["name"],
        "port": 0,
        "weight": 1,
        "egress": True,
    }
    return named | forward([own], network["policy"], {}, f"EgressNetwork {_key(network)}: route {ALLOW_ROUTE}", services)
