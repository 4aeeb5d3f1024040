"""``linkerd viz edges``: who calls whom, and whether with mTLS; and ``viz authz``: what each authorization admitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from labs.mesh.linkerd_cli.metrics_api import Labels, Prometheus, Traffic, selector, traffic
from labs.mesh.linkerd_cli.resources import Kind
from labs.mesh.linkerd_cli.tables import table

IDENTITY_SUFFIX = ".serviceaccount.identity."


@dataclass(frozen=True)
class Edge:
    """``client_id`` and ``server_id`` are ``SA.NS``; ``no_tls_reason`` is empty if the connection is secured."""

    src: str
    src_namespace: str
    dst: str
    dst_namespace: str
    client_id: str
    server_id: str
    no_tls_reason: str


async def edges(prometheus: Prometheus, kind: Kind, namespace: str | None) -> list[Edge]:
    """The edges into and out of ``namespace`` (None: everywhere), from what the callers' proxies counted."""
    by = [kind.label, "namespace", kind.dst_label, "dst_namespace", "server_id", "no_tls_reason", "tls"]
    labels: Labels = {"direction": "outbound", kind.label: "", kind.dst_label: ""}
    counted = await prometheus.grouped(f"sum by ({','.join(by)}) (response_total{selector(labels)})", by)
    clients = await _client_ids(prometheus, kind)
    found = []
    for src, src_namespace, dst, dst_namespace, server_id, reason, tls in sorted(counted):
        if namespace not in (None, src_namespace, dst_namespace):
            continue
        client_id = next((name for name in clients.get((dst_namespace, dst), []) if name.endswith(f".{src_namespace}")), "")
        why = "" if tls == "true" else reason or "not_provided_by_service_discovery"
        found.append(Edge(src, src_namespace, dst, dst_namespace, client_id, short_identity(server_id), why))
    return sorted(found, key=lambda edge: (edge.dst_namespace, edge.src, edge.dst))


async def _client_ids(prometheus: Prometheus, kind: Kind) -> dict[tuple[str, str], list[str]]:
    """The callers of each callee, by its (namespace, name), from what the callees' proxies counted."""
    by = ["namespace", kind.label, "client_id"]
    seen = await prometheus.grouped(
        f"sum by ({','.join(by)}) (response_total{selector({'direction': 'inbound', 'client_id': ''})})", by
    )
    found: dict[tuple[str, str], list[str]] = {}
    for namespace, name, client in sorted(seen):
        found.setdefault((namespace, name), []).append(short_identity(client))
    return found


def short_identity(identity: str) -> str:
    """A mesh identity shortened to ``SA.NS``.

    >>> short_identity("chat.shop.serviceaccount.identity.linkerd.cluster.local")
    'chat.shop'
    """
    return identity.partition(IDENTITY_SUFFIX)[0]


def edges_table(found: list[Edge]) -> str:
    rows = [[e.src, e.dst, e.src_namespace, e.dst_namespace, e.no_tls_reason or "√"] for e in found]
    return table(["SRC", "DST", "SRC_NS", "DST_NS", "SECURED"], rows, left=5, trailing="   ").rstrip("\n")


def edges_rows(found: list[Edge]) -> list[dict[str, str]]:
    return [asdict(edge) for edge in found]


AUTHZ_HEADER = ["ROUTE", "SERVER", "AUTHORIZATION", "UNAUTHORIZED", "SUCCESS", "RPS", "LATENCY_P50", "LATENCY_P95", "LATENCY_P99"]
AuthzKey = tuple[str, str, str]
"""Route, Server, and the authorization that admitted the requests; the last is empty if nothing admitted them."""


@dataclass(frozen=True)
class AuthzRow:
    route: str
    server: str
    authorization: str
    unauthorized: float
    traffic: Traffic


async def authorizations(prometheus: Prometheus, labels: Labels, window: float) -> list[AuthzRow]:
    """What each authorization of the chosen pods admitted, and what nothing admitted, over ``window`` seconds."""
    where, by = labels | {"direction": "inbound"}, ["route_name", "srv_kind", "srv_name", "authz_kind", "authz_name"]
    admitted = await traffic(prometheus, where | {"srv_name": ""}, by, window)
    refused = await prometheus.grouped(
        f"sum by ({','.join(by[:3])}) (rate(inbound_http_authz_deny_total{selector(labels)}[{window:g}s]))", by[:3]
    )
    rows = [
        AuthzRow(route, _named(kind, name, ":"), _named(authz_kind, authz, "/"), 0.0, seen)
        for (route, kind, name, authz_kind, authz), seen in admitted.items()
        if seen.rps
    ]
    nothing = Traffic(0.0, 0.0, 0.0, 0.0, 0.0)
    rows += [AuthzRow(route, _named(kind, name, ":"), "", rate, nothing) for (route, kind, name), rate in refused.items() if rate]
    return sorted(rows, key=lambda row: (row.server, row.authorization, row.route))


def _named(kind: str, name: str, separator: str) -> str:
    """The name as Linkerd shows it: for a Server the name alone, for anything else with the kind before it."""
    return name if kind in ("server", "") else f"{kind}{separator}{name}"


def authz_table(rows: list[AuthzRow]) -> str:
    lines = [
        [
            row.route,
            row.server,
            row.authorization,
            f"{row.unauthorized:.1f}rps",
            f"{(row.traffic.success or 0) * 100:.2f}%",
            f"{row.traffic.rps or 0:.1f}rps",
            *(f"{value or 0:.0f}ms" for value in (row.traffic.p50, row.traffic.p95, row.traffic.p99)),
        ]
        for row in rows
    ]
    return table(AUTHZ_HEADER, lines, left=3, gap=2, trailing="  ")


def authz_rows(rows: list[AuthzRow]) -> list[dict[str, object]]:
    return [
        {
            "authorization": row.authorization,
            **{
                f"latency_ms_p{q}": round(value or 0)
                for q, value in ((50, row.traffic.p50), (95, row.traffic.p95), (99, row.traffic.p99))
            },
            "route": row.route,
            "rps": row.traffic.rps or 0,
            "server": row.server,
            "success": row.traffic.success or 0,
            "unauthorized": row.unauthorized,
        }
        for row in rows
    ]
