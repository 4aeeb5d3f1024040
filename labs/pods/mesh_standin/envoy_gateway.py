"""The gateway: mesh traffic from another cluster comes in on 4143 and goes on to local services under the gateway's identity."""

from __future__ import annotations

from collections.abc import Iterable

from labs.pods.mesh_standin import envoy_balancer, envoy_outbound_routes, envoy_rbac
from labs.pods.mesh_standin.envoy_http import connection_manager, rbac_filter
from labs.pods.mesh_standin.envoy_inbound import CLIENT_ID, route_name
from labs.pods.mesh_standin.envoy_outbound import REPLIES, authority_of
from labs.pods.mesh_standin.envoy_types import LISTENER, RBAC, ROUTES, Message, address, server_tls, typed
from labs.pods.mesh_standin.proxy_config import InboundPort, ServicePort, service_key
from labs.wire.linkerd import GATEWAY_PORT


def listener(host: str, identity: str, *, log_requests: bool = False) -> Message:
    """Only mTLS for the gateway's own identity gets in; any other connection is closed without an answer."""
    filters = [rbac_filter(), envoy_balancer.lua_filter()]
    return {
        "@type": LISTENER,
        "name": "gateway",
        "address": address(host, GATEWAY_PORT),
        "listener_filters": [{"name": "tls_inspector", "typed_config": typed("filters.listener.tls_inspector.v3.TlsInspector")}],
        "filter_chains": [
            {
                "filter_chain_match": {"transport_protocol": "tls", "server_names": [identity]},
                "transport_socket": server_tls(),
                "filters": [connection_manager("gateway", "gateway", REPLIES, filters, log_requests=log_requests)],
            }
        ],
    }


def routes(port: InboundPort, services: Iterable[ServicePort], identity: str) -> Message:
    """Route by the authority the other cluster's proxy wrote: the full name of a local service.

    A mirrored service is not a target: the call would leave the cluster again.
    """
    targets = [service for service in services if not service["remote_authority"]]
    hosts = [_virtual_host(port, service, identity) for service in targets]
    not_found = {"match": {"prefix": "/"}, "name": route_name(port, None), "direct_response": {"status": 404}}
    hosts.append({"name": "unknown", "domains": ["*"], "routes": [not_found]})
    return {"@type": ROUTES, "name": "gateway", "virtual_hosts": hosts, "validate_clusters": False}


def _virtual_host(port: InboundPort, service: ServicePort, identity: str) -> Message:
    last = port["routes"][-1]  # the default one, unless a route is attached to the gateway's Server
    forwarded = f"by={identity};for=%DOWNSTREAM_PEER_DNS_SAN%;host=%REQ(:AUTHORITY)%;proto=https"
    canonical = f"{service['name']}.{service['namespace']}.svc.cluster.local:{service['port']}"
    balanced = envoy_balancer.balanced(
        service,
        None,  # the exported Service's failure accrual, retries and timeouts do not apply here (recordings/linkerd, experiment 2)
        attempts=envoy_balancer.CONNECT_ATTEMPTS,
        retried=False,
        logical=f"gateway {canonical}",
        backend="",
    )
    return {
        "name": service_key(service),
        "include_attempt_count_in_response": True,
        "domains": sorted({authority_of(service), canonical}),
        "request_headers_to_remove": ["x-forwarded-proto", CLIENT_ID],
        "request_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in {"forwarded": forwarded, "l5d-dst-canonical": canonical}.items()
        ],
        "response_headers_to_remove": ["l5d-proxy-error"],
        "routes": [
            {
                "name": f"{route_name(port, last)}|{service_key(service)}",
                "match": {"prefix": "/"},
                "route": {"cluster": service_key(service), "timeout": "0s", **envoy_outbound_routes.retries({})},
                "typed_per_filter_config": {RBAC: envoy_rbac.per_route(last["authorizations"])} | balanced,
            }
        ],
    }
