"""The proxy's gauges, measured at each scrape."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Set

from labs.pods.mesh_standin import envoy_process
from labs.pods.mesh_standin.envoy_config import EnvoyConfig
from labs.pods.mesh_standin.exposition import Labels
from labs.pods.mesh_standin.proxy_config import ServicePort, service_key
from labs.pods.mesh_standin.proxy_metrics import ref_labels, target_labels
from labs.wire.addresses import to_api, to_loopback

STARTED = time.time()
TICKS = os.sysconf("SC_CLK_TCK")
Gauge = tuple[str, Labels, float]


def gauges(config: EnvoyConfig, envoy: int, not_after: float, pending: Mapping[str, Set[str]]) -> list[Gauge]:
    """Process, certificate, balancers and open connections, sorted by name.

    ``envoy`` is its process id; ``pending``: endpoints taken out, by service. Raises OSError when Envoy has ended.
    """
    found: list[Gauge] = [
        ("identity_cert_expiration_timestamp_seconds", {}, not_after),
        ("process_cpu_seconds_total", {}, sum(os.times()[:4]) + _cpu_seconds(envoy)),
        ("process_resident_memory_bytes", {}, _own_bytes(os.getpid()) + _own_bytes(envoy)),
        ("process_start_time_seconds", {}, STARTED),
        ("proxy_build_info", {"vendor": "boring-ops-lab", "version": "stand-in"}, 1),
        *(gauge for service in config.services for gauge in _balancer(service, pending.get(service_key(service), frozenset()))),
        *_open_connections(config),
    ]
    return sorted(found, key=lambda gauge: gauge[0])


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), stat)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _own_bytes(pid: int) -> int:
    """Resident memory of a process without its program's file, of which all proxies of a machine share one copy."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon:"))


def _balancer(service: ServicePort, pending: Set[str]) -> list[Gauge]:
    addresses = {f"{to_loopback(endpoint['address'])}:{endpoint['port']}" for endpoint in service["endpoints"]}
    states = {"ready": addresses - pending, "pending": addresses & pending}
    name, labels = "outbound_http_balancer_endpoints", _service(service)
    return [(name, {"endpoint_state": state} | labels, float(len(which))) for state, which in states.items()]


def _service(service: ServicePort) -> dict[str, str]:
    values = {"group": "core", "kind": "Service", "namespace": service["namespace"], "name": service["name"]}
    values |= {"port": str(service["port"]), "section_name": ""}
    return {f"parent_{k}": v for k, v in values.items()} | {f"backend_{k}": v for k, v in values.items()}


def _open_connections(config: EnvoyConfig) -> list[Gauge]:
    """``tcp_open_connections`` by inbound port and by outbound service; Envoy does not distinguish its clients' identities."""
    active = {
        row["name"]: row["value"] for row in json.loads(envoy_process.admin("/stats?format=json")[1])["stats"] if "name" in row
    }
    found: list[Gauge] = []
    for port in config.inbound:
        value = active.get(f"listener.in-{port['port']}.downstream_cx_active", 0)
        where = target_labels(to_api(config.host), port["port"])
        server = ref_labels("srv", port["server"]) | {"srv_port": str(port["port"])}
        found.append(("tcp_open_connections", {"direction": "inbound", "peer": "src"} | where | server, value))
    for service in config.services:
        if value := active.get(f"cluster.{service_key(service)}.upstream_cx_active", 0):
            names = {"dst_namespace": service["namespace"], "dst_service": service["name"]}
            found.append(("tcp_open_connections", {"direction": "outbound", "peer": "dst"} | names, value))
    return found
