"""Envoy's configuration for one cluster, as file-based xDS: bootstrap, listeners (LDS), clusters (CDS), endpoints (EDS).

https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/xds_api says which field means what.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labs.embedded import plan
from labs.embedded.service_proxy.table import ServicePort
from labs.wire.replace_file import replace_text

Config = dict[str, Any]

FIRST_PORT = 1024
"""Lower ports need root, which the lab never asks for."""
TYPES = "type.googleapis.com/envoy"
LISTENER = f"{TYPES}.config.listener.v3.Listener"
CLUSTER = f"{TYPES}.config.cluster.v3.Cluster"
LOAD_ASSIGNMENT = f"{TYPES}.config.endpoint.v3.ClusterLoadAssignment"
ROUTES = f"{TYPES}.config.route.v3.RouteConfiguration"
NETWORK = f"{TYPES}.extensions.filters.network"
HTTP = f"{TYPES}.extensions.filters.http"
LITERAL = "literal-address"
"""The Envoy cluster for requests to an address instead of a Service: pods, other loopback listeners."""
READY_PATH = "/service-proxy/ready"
LITERAL_LUA = """
function envoy_on_request(handle)
  local authority = handle:headers():get(":authority") or ""
  local rest = authority:match("^127%.(.+)$") or authority:match("^10%.(.+)$")
  handle:headers():remove("x-envoy-original-dst-host")
  if rest then
    if not rest:find(":") then rest = rest .. ":80" end
    handle:headers():add("x-envoy-original-dst-host", "127." .. rest)
  end
end
"""
"""The target of a request to a literal address: 10.x.y.z:p stands for 127.x.y.z:p."""


def write(folder: Path, host: str, port: int, ports: Iterable[ServicePort]) -> None:
    """Write all of the xDS files into ``folder`` for the forward proxy at ``host:port`` and the given Services.

    Endpoints first: a new cluster must find its endpoints, and a route its cluster.
    """
    rows = list(ports)
    for row in rows:
        _replace(_endpoints_file(row, folder), _resources(LOAD_ASSIGNMENT, [_load_assignment(row)]))
    _replace(folder / "cds.json", _resources(CLUSTER, [*(_cluster(row, folder) for row in rows), _literal_cluster()]))
    _replace(folder / "rds.json", _resources(ROUTES, [_routes(rows)]))
    # Without endpoints there is no listener: a connection is refused, as by kube-proxy. Load balancers listen at the edge.
    inside = [row for row in rows if row.cluster_ip and row.port >= FIRST_PORT and row.endpoints and not row.load_balancer]
    tcp = [_tcp_listener(row) for row in inside]
    _replace(folder / "lds.json", _resources(LISTENER, [_forward_proxy(folder, host, port), *tcp]))


def bootstrap(folder: Path, name: str) -> Config:
    """Envoy's start configuration."""
    return {
        "node": {"id": name, "cluster": name},
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}},
        "dynamic_resources": {"lds_config": _file(folder / "lds.json"), "cds_config": _file(folder / "cds.json")},
    }


def _file(path: Path) -> Config:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _resources(kind: str, rows: list[Config]) -> Config:
    return {"resources": [{"@type": kind} | row for row in rows]}


def _replace(path: Path, content: Config) -> None:
    """Envoy reads a file when it is moved into place, and only then; an unchanged file is left alone."""
    text = json.dumps(content)
    if path.exists() and path.read_text() == text:
        return
    replace_text(path, text)


def _socket(host: str, port: int) -> Config:
    return {"socket_address": {"address": host, "port_value": port}}


def _endpoints_file(row: ServicePort, folder: Path) -> Path:
    """A file per Service port: Envoy takes a file's resources as those of the one cluster that subscribed to it."""
    return folder / f"eds-{row.id.replace('/', '.').replace(':', '.')}.json"


def _load_assignment(row: ServicePort) -> Config:
    endpoints = [{"endpoint": {"address": _socket(host, port)}} for host, port in row.endpoints]
    return {"cluster_name": row.id, "endpoints": [{"lb_endpoints": endpoints}]}


def _cluster(row: ServicePort, folder: Path) -> Config:
    return {
        "name": row.id,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(_endpoints_file(row, folder))},
        "connect_timeout": "2s",
        # As in kube-proxy.
        "lb_policy": "RANDOM",
        # No Service of the lab has enough endpoints for a panic threshold to help.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _literal_cluster() -> Config:
    return {
        "name": LITERAL,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": True},
        "connect_timeout": "2s",
    }


def _routes(rows: list[ServicePort]) -> Config:
    hosts = [
        {
            "name": row.id,
            "domains": [f"{host}:{row.port}" for host in row.hosts] + (row.hosts if row.port == 80 else []),
            "routes": _routes_to(row.id),
        }
        for row in rows
    ]
    literal = {"name": LITERAL, "domains": ["10.*", "127.*"], "routes": [_ready_route(), *_routes_to(LITERAL)]}
    unknown = {
        "name": "unknown",
        "domains": ["*"],
        "routes": [_unknown_route({"connect_matcher": {}}), _unknown_route({"prefix": "/"})],
    }
    return {"name": "services", "virtual_hosts": [*hosts, literal, unknown]}


def _routes_to(cluster: str) -> list[Config]:
    """No timeout: an answer may be streamed for minutes."""
    tunnel = {"cluster": cluster, "timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
    plain = {"cluster": cluster, "timeout": "0s", "idle_timeout": "0s"}
    return [
        {"match": {"connect_matcher": {}}, "route": tunnel},
        {"match": {"prefix": "/"}, "route": plain},
    ]


def _ready_route() -> Config:
    return {"match": {"path": READY_PATH}, "direct_response": {"status": 200}}


def _unknown_route(match: Config) -> Config:
    text = "service proxy: no Service of that name and port in this cluster\n"
    return {"match": match, "direct_response": {"status": 502, "body": {"inline_string": text}}}


def _forward_proxy(folder: Path, host: str, port: int) -> Config:
    manager = {
        "@type": f"{NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "forward_proxy",
        "rds": {"route_config_name": "services", "config_source": _file(folder / "rds.json")},
        "http_filters": [
            {
                "name": "literal",
                "typed_config": {
                    "@type": f"{HTTP}.lua.v3.Lua",
                    "default_source_code": {"inline_string": LITERAL_LUA},
                },
            },
            {"name": "router", "typed_config": {"@type": f"{HTTP}.router.v3.Router", "suppress_envoy_headers": True}},
        ],
        "upgrade_configs": [{"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}],
        "stream_idle_timeout": "0s",
        "use_remote_address": False,
        # A proxy of the network, not of the application: it leaves the request's headers as they are.
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "skip_xff_append": True,
    }
    return _listener("forward-proxy", host, port, manager)


def _tcp_listener(row: ServicePort) -> Config:
    assert row.cluster_ip is not None
    proxy = {
        "@type": f"{NETWORK}.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "service",
        "cluster": row.id,
        "idle_timeout": "0s",
    }
    return _listener(row.id, plan.network().bind(row.cluster_ip), row.port, proxy)


def _listener(name: str, host: str, port: int, network_filter: Config) -> Config:
    chain = {"filters": [{"name": "proxy", "typed_config": network_filter}]}
    return {"name": name, "address": _socket(host, port), "filter_chains": [chain]}
