"""Outbound: an HTTP forward proxy for the app that knows every Service by all its names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from labs.pods.mesh_standin import envoy_balancer, envoy_egress, envoy_outbound_routes
from labs.pods.mesh_standin.envoy_http import connection_manager, local_reply
from labs.pods.mesh_standin.envoy_types import (
    CLUSTER,
    LISTENER,
    ROUTES,
    Message,
    address,
    client_tls,
    http_options,
    no_limits,
    plaintext,
)
from labs.pods.mesh_standin.proxy_config import EgressNetwork, Endpoint, ServicePort, authority, service_key
from labs.wire.addresses import to_loopback
from labs.wire.linkerd import OUTBOUND_PORT

MATCH_KEY = "envoy.transport_socket_match"
REPLIES = (
    local_reply(504, f"%METADATA(ROUTE:{envoy_balancer.METADATA}:timeout)%", flags=["UT"]),
    local_reply(504, "endpoint %UPSTREAM_HOST%: client error (Connect)", flags=["UF"]),
    local_reply(502, "endpoint %UPSTREAM_HOST%: connection closed before message completed", flags=["UC", "UR", "UPE"]),
    local_reply(503, "logical service %REQ(:AUTHORITY)%: route default.http: service unavailable", flags=["UH", "NC", "UO"]),
)


def authority_of(service: ServicePort) -> str:
    """The service's full name as in metrics, without the port where it is 80."""
    return authority(f"{service['name']}.{service['namespace']}.svc.cluster.local", service["port"])


def names(service: ServicePort, namespace: str) -> list[str]:
    """Every host a client in ``namespace`` may write for this service port."""
    name, own, port = service["name"], service["namespace"], service["port"]
    hosts = [f"{name}.{own}", f"{name}.{own}.svc", f"{name}.{own}.svc.cluster.local", f"{name}.{own}.svc.cluster.local."]
    hosts += [name] if own == namespace else []
    hosts += [service["cluster_ip"], to_loopback(service["cluster_ip"])] if service["cluster_ip"] != "None" else []
    return [f"{host}:{port}" for host in hosts] + (hosts if port == 80 else [])


def listener(hosts: Sequence[str]) -> Message:
    """The forward proxy on port 4140 of ``hosts``: the pod's shadow address for its app, its own for the node's tools."""
    first, *others = [address(host, OUTBOUND_PORT) for host in hosts]
    filters = [envoy_egress.egress_filter(), envoy_balancer.lua_filter()]
    return {
        "@type": LISTENER,
        "name": "outbound",
        "address": first,
        "additional_addresses": [{"address": other} for other in others],
        "filter_chains": [{"filters": [connection_manager("outbound", "outbound", REPLIES, filters)]}],
    }


def routes(services: Sequence[ServicePort], namespace: str, egress: Sequence[EgressNetwork] = ()) -> Message:
    """Route by host name; anything that is not a Service goes to the cluster's own proxy, as a packet would to the network."""
    known = {service_key(service): service for service in services}
    hosts = [_virtual_host(service, known, namespace) for service in services]
    rest = envoy_egress.routes(egress, known)
    hosts.append({"name": "passthrough", "domains": ["*"], "routes": rest, "request_headers_to_remove": ["x-forwarded-proto"]})
    return {"@type": ROUTES, "name": "outbound", "virtual_hosts": hosts, "validate_clusters": False}


def _virtual_host(service: ServicePort, known: Mapping[str, ServicePort], namespace: str) -> Message:
    return {
        "name": service_key(service),
        "domains": names(service, namespace),
        "routes": envoy_outbound_routes.routes(service, known, namespace),
        "include_attempt_count_in_response": True,  # for the balancer's script, which removes it
        "request_headers_to_remove": ["x-forwarded-proto"],
        "response_headers_to_remove": ["l5d-proxy-error"],
    }


def cluster(service: ServicePort, source: str, identities: Sequence[str]) -> Message:
    """The balancer of one service port: mTLS to each endpoint that has one of ``identities``, plaintext to the others.

    ``source`` is the address to call from, so that the peer sees the pod rather than loopback.
    """
    key = service_key(service)
    return {
        "@type": CLUSTER,
        "name": key,
        "type": "STATIC",
        "load_assignment": {"cluster_name": key, "endpoints": [{"lb_endpoints": list(_lb_endpoints(service["endpoints"]))}]},
        "load_balancing_policy": envoy_balancer.policy(),
        "connect_timeout": "1s",
        "circuit_breakers": no_limits(),
        "upstream_bind_config": {"source_address": {"address": source, "port_value": 0}},
        "typed_extension_protocol_options": http_options(),
        "transport_socket_matches": [
            *({"name": name, "match": {"identity": name}, "transport_socket": client_tls(name)} for name in identities),
            {"name": "plaintext", "match": {}, "transport_socket": plaintext()},
        ],
    }


def _lb_endpoints(endpoints: Iterable[Endpoint]) -> Iterator[Message]:
    for endpoint in endpoints:
        entry: Message = {"endpoint": {"address": address(to_loopback(endpoint["address"]), endpoint["port"])}}
        if endpoint["identity"]:
            entry["metadata"] = {"filter_metadata": {MATCH_KEY: {"identity": endpoint["identity"]}}}
        yield entry


def passthrough_cluster(proxy_host: str, proxy_port: int) -> Message:
    """The cluster's own forward proxy, to which a request must go with its whole URL."""
    http1 = {"explicit_http_config": {"http_protocol_options": {"send_fully_qualified_url": True}}}
    return {
        "@type": CLUSTER,
        "name": "passthrough",
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": no_limits(),
        "typed_extension_protocol_options": http_options(**http1),
        "load_assignment": {
            "cluster_name": "passthrough",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(proxy_host, proxy_port)}}]}],
        },
    }
