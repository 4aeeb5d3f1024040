"""Inbound: a listener per port the pod declares, on the pod's own address, in front of the app's shadow address.

A connection that opens TLS for this pod's identity is mesh traffic; TLS for any other name is passed through; plaintext
is HTTP if it looks like it, else TCP.
"""

from __future__ import annotations

from labs.pods.mesh_standin import envoy_rate_limit, envoy_rbac, envoy_tcp
from labs.pods.mesh_standin.envoy_http import connection_manager, local_reply, rbac_filter
from labs.pods.mesh_standin.envoy_rate_limit import rate_limit_filter
from labs.pods.mesh_standin.envoy_routes import header_changes, host_rewrite, precedence, redirect, route_match
from labs.pods.mesh_standin.envoy_types import (
    CLUSTER,
    LISTENER,
    RBAC,
    ROUTES,
    Message,
    address,
    http_options,
    no_limits,
    server_tls,
    typed,
)
from labs.pods.mesh_standin.proxy_config import InboundPort, InboundRoute, Match

CLIENT_ID = "l5d-client-id"
DETECT_TIMEOUT = "10s"
"""How long to wait for a silent client before its connection counts as TCP, as in Linkerd."""
REPLIES = (
    local_reply(502, "endpoint %UPSTREAM_HOST%: client error (Connect)", flags=["UF", "UC", "UR"]),
    local_reply(502, "no route to the app", flags=["UH", "NC"]),
)


def route_name(port: InboundPort, route: InboundRoute | None) -> str:
    """Everything an access-log record must say about policy: ``in|PORT|server|route``, route empty where none matched."""
    return "|".join(
        ("in", str(port["port"]), envoy_rbac.ref_key(port["server"]), envoy_rbac.ref_key(route["ref"]) if route else "")
    )


def listener(port: InboundPort, host: str, identity: str, *, log_requests: bool = False) -> Message:
    """The listener of one port; everything but opacity reaches it through its routes, so it rarely changes."""
    number = port["port"]
    tcp = envoy_tcp.filters(port)
    filters = [rbac_filter(), rate_limit_filter()]
    http = [connection_manager(f"in-{number}", f"in-{number}", REPLIES, filters, log_requests=log_requests)]
    mesh = {"filter_chain_match": {"transport_protocol": "tls", "server_names": [identity]}, "transport_socket": server_tls()}
    chains: list[Message] = [
        {"name": "mesh", **mesh, "filters": tcp if port["opaque"] else http},
        {"name": "tls", "filter_chain_match": {"transport_protocol": "tls"}, "filters": tcp},
        {"name": "tcp", "filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": tcp},
    ]
    if not port["opaque"]:
        match = {"transport_protocol": "raw_buffer", "application_protocols": ["http/1.0", "http/1.1", "h2c"]}
        chains.append({"name": "http", "filter_chain_match": match, "filters": http})
    return {
        "@type": LISTENER,
        "name": f"in-{number}",
        "address": address(host, number),
        "listener_filters": [
            {"name": "tls_inspector", "typed_config": typed("filters.listener.tls_inspector.v3.TlsInspector")},
            {"name": "http_inspector", "typed_config": typed("filters.listener.http_inspector.v3.HttpInspector")},
        ],
        "listener_filters_timeout": DETECT_TIMEOUT,
        "continue_on_listener_filters_timeout": True,
        "filter_chains": chains,
        "stat_prefix": f"in-{number}",
    }


def app_cluster(number: int, host: str) -> Message:
    """The app's own listening port."""
    return {
        "@type": CLUSTER,
        "name": f"app-{number}",
        "type": "STATIC",
        "connect_timeout": "0.3s",
        "circuit_breakers": no_limits(),
        "typed_extension_protocol_options": http_options(),
        "load_assignment": {
            "cluster_name": f"app-{number}",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, number)}}]}],
        },
    }


def routes(port: InboundPort) -> Message:
    """The route configuration of one port: policy changes travel in it, and reach open connections too."""
    pairs = sorted(
        ((match, route) for route in port["routes"] for match in route["matches"]), key=lambda pair: precedence(pair[0])
    )
    found = [_route(port, route, match) for match, route in pairs]
    not_found = {"match": {"prefix": "/"}, "name": route_name(port, None), "direct_response": {"status": 404}}
    host = {
        "name": "app",
        "domains": ["*"],
        "routes": [*found, not_found],
        # Removed first, then added where there is a peer identity: no client can claim one with a header.
        "request_headers_to_remove": ["x-forwarded-proto", CLIENT_ID],
        "request_headers_to_add": [{"header": {"key": CLIENT_ID, "value": "%DOWNSTREAM_PEER_DNS_SAN%"}}],
    }
    return {"@type": ROUTES, "name": f"in-{port['port']}", "virtual_hosts": [host], "validate_clusters": False}


def _route(port: InboundPort, route: InboundRoute, match: Match) -> Message:
    filters = route.get("filters", {})
    if "redirect" in filters:
        action = redirect(filters["redirect"], match, port["port"])
    else:
        action = {"route": {"cluster": f"app-{port['port']}", "timeout": "0s", **host_rewrite(filters)}}
    return {
        "name": route_name(port, route),
        "match": route_match(match),
        **action,
        **header_changes(filters),
        "typed_per_filter_config": {
            RBAC: envoy_rbac.per_route(route["authorizations"]),
            **envoy_rate_limit.per_route(port.get("rate_limit")),
        },
    }
