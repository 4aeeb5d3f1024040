"""``linkerd viz stat``: which series describe a resource, and how its row is shown."""

from __future__ import annotations

from dataclasses import dataclass

from labs.mesh.linkerd_cli.metrics_api import Group, Labels, Prometheus, Traffic, traffic
from labs.mesh.linkerd_cli.resources import Resource, Row, rows
from labs.mesh.linkerd_cli.tables import table
from labs.wire.kube_api import KubeApi

HEADER = ["MESHED", "SUCCESS", "RPS", "LATENCY_P50", "LATENCY_P95", "LATENCY_P99", "TCP_CONN"]
WIDE = ["READ_BYTES/SEC", "WRITE_BYTES/SEC"]
NOTHING = Traffic(None, None, None, None, None)


@dataclass(frozen=True)
class Question:
    """A query about ``resource`` in ``namespace`` (None: all) over ``window`` seconds, optionally from or to another resource."""

    resource: Resource
    namespace: str | None
    window: float = 60
    source: Resource | None = None
    source_namespace: str | None = None
    destination: Resource | None = None
    destination_namespace: str | None = None


Answer = tuple[Row, Traffic]


def series(question: Question) -> tuple[Labels, Group]:
    """The labels that choose the series, and the two labels (namespace, name) that group them.

    A workload's own proxies count the traffic to it; the callers' proxies count traffic to a Service or between two resources.
    """
    kind, namespace = question.resource.kind, question.namespace
    outbound = question.source or question.destination or kind.name in ("service", "authority")
    if not outbound:
        return {"direction": "inbound"} | _in("namespace", namespace), ("namespace", kind.label)
    if kind.name == "authority":
        return {"direction": "outbound", "authority": ""} | _in("namespace", namespace), ("namespace", "authority")
    labels: Labels = {"direction": "outbound"}
    if question.destination:
        there = question.destination
        labels |= {there.kind.dst_label: there.name or ""} | _in("dst_namespace", question.destination_namespace or namespace)
        return labels | _in("namespace", namespace), ("namespace", kind.label)
    if question.source:
        here = question.source
        labels |= {here.kind.label: here.name or ""} | _in("namespace", question.source_namespace or namespace)
    # Selected by callee: as in Linkerd, a mirrored Service's series have the local name.
    return labels | {kind.dst_label: ""} | _in("dst_namespace", namespace), ("dst_namespace", kind.dst_label)


def _in(label: str, namespace: str | None) -> Labels:
    return {label: namespace} if namespace else {}


async def ask(api: KubeApi, prometheus: Prometheus, question: Question) -> list[Answer]:
    """A row per existing resource. With ``--from`` or ``--to``, and for authorities, only rows with traffic.

    Services and namespaces without traffic appear only if they have a meshed pod.
    """
    labels, by = series(question)
    found = await traffic(prometheus, labels, by, question.window)
    if question.resource.kind.name == "authority":
        return [
            (Row(group[0], group[1]), seen) for group, seen in sorted(found.items()) if question.resource.name in (None, group[1])
        ]
    answers = [(row, found.get(_group(row, question), NOTHING)) for row in await rows(api, question.resource, question.namespace)]
    between = question.source or question.destination
    skip_quiet = between or question.resource.kind.name in ("service", "namespace")
    return [(row, seen) for row, seen in answers if seen is not NOTHING or not skip_quiet or (row.meshed and not between)]


def _group(row: Row, question: Question) -> Group:
    return (row.name, row.name) if question.resource.kind.name == "namespace" else (row.namespace, row.name)


def to_table(answers: list[Answer], question: Question, *, wide: bool) -> str:
    kind = question.resource.kind.name
    all_namespaces = question.namespace is None and kind != "namespace"
    header = [*(["NAMESPACE"] if all_namespaces else []), "NAME", *(["STATUS"] if kind == "pod" else []), *HEADER]
    lines = [
        [
            *([row.namespace] if all_namespaces else []),
            row.name,
            *([row.status] if kind == "pod" else []),
            meshed(row, kind),
            *cells(seen, wide),
        ]
        for row, seen in answers
    ]
    return table([*header, *(WIDE if wide else [])], lines, left=2 if all_namespaces else 1)


def meshed(row: Row, kind: str) -> str:
    return "-" if kind in ("service", "authority") else f"{row.meshed}/{row.pods}"


def cells(seen: Traffic, wide: bool) -> list[str]:
    """The columns after MESHED; a dash if there is no value."""
    quantiles = [_shown(value, "{:.0f}ms") for value in (seen.p50, seen.p95, seen.p99)]
    success = None if seen.success is None else seen.success * 100
    shown = [_shown(success, "{:.2f}%"), _shown(seen.rps, "{:.1f}rps"), *quantiles, _shown(seen.connections, "{:.0f}")]
    return shown + ([_shown(seen.read_rate, "{:.1f}B/s"), _shown(seen.write_rate, "{:.1f}B/s")] if wide else [])


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def to_rows(answers: list[Answer], question: Question) -> list[dict[str, object]]:
    """The rows for JSON output."""
    return [_json(row, seen, question.resource.kind.name) for row, seen in answers]


def _json(row: Row, seen: Traffic, kind: str) -> dict[str, object]:
    counted = {} if kind in ("service", "authority") else {"meshed": meshed(row, kind)}
    latency = {
        f"latency_ms_p{q}": None if value is None else round(value)
        for q, value in (("50", seen.p50), ("95", seen.p95), ("99", seen.p99))
    }
    return {
        "namespace": row.namespace or row.name,
        "kind": kind,
        "name": row.name,
        **counted,
        "success": seen.success,
        "rps": seen.rps,
        **latency,
        "tcp_open_connections": None if seen.connections is None else round(seen.connections),
        "tcp_read_bytes_rate": seen.read_rate,
        "tcp_write_bytes_rate": seen.write_rate,
    }
