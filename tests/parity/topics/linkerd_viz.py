"""``linkerd viz``: statistics in the forms that the real one prints."""

from __future__ import annotations

from typing import Any

from labs import kube
from labs.paths import Paths
from tests.parity import demo
from tests.parity.context import ParityContext, Ran, until
from tests.parity.expect import Text
from tests.parity.rows import Topic

topic = Topic("linkerd_viz", "linkerd", "Statistics")
STAT = "71-viz-stat.txt"
EDGES = "72-viz-edges.txt"
AUTHZ = "74-viz-authz.txt"
NUMBERS = ["SUCCESS", "RPS", "LATENCY_P50", "LATENCY_P95", "LATENCY_P99"]
PROMETHEUS = "http://prometheus.monitoring:9090"


def viz(context: ParityContext, *words: str) -> Ran:
    """``linkerd viz …`` in the meshed namespace, where there was traffic in the minute that it looks at."""
    namespace = demo.meshed(context)
    context.once("viz", lambda: _install(context, namespace))
    demo.ask(context, namespace, demo.url("server", namespace), times=5, every=0.2)
    return context.linkerd("viz", *words, "-n", namespace)


def _install(context: ParityContext, namespace: str) -> None:
    """Prometheus and the viz extension, with the lines of notebooks 02 and 05; then calls from client to server."""
    context.clusters["app"].kubectl("apply", "-k", str(Paths.current().state / "manifests" / "prometheus-app"))
    kube.wait(context.api(), "Deployment", "prometheus", "monitoring", kube.rolled_out, timeout=120)
    context.piped("app", "viz", "install", "--set", "prometheus.enabled=false", "--set", f"prometheusUrl={PROMETHEUS}")
    until(lambda: _seen(context, namespace), bool, 60, every=2)


def _seen(context: ParityContext, namespace: str) -> bool:
    demo.ask(context, namespace, demo.url("server", namespace), times=10, every=0.1)
    ran = context.linkerd("viz", "stat", "deploy/server", "-n", namespace, "-o", "json")
    return not ran.code and any(row.get("rps") for row in ran.json())


def headings(ran: Ran) -> list[str]:
    return ran.text.splitlines()[0].split() if ran.text else []


@topic.row("viz stat deploy: headings", source=STAT, within=10, real=["NAME", "MESHED", *NUMBERS, "TCP_CONN"])
def stat_headings(context: ParityContext) -> Any:
    return headings(viz(context, "stat", "deploy"))


@topic.row("viz stat pod: headings", source=STAT, within=10, real=["NAME", "STATUS", "MESHED", *NUMBERS, "TCP_CONN"])
def stat_pod_headings(context: ParityContext) -> Any:
    return headings(viz(context, "stat", "po"))


@topic.row(
    "viz stat deploy: the server's pods and its success",
    source=STAT,
    within=20,
    real={"MESHED": "2/2", "SUCCESS": Text(r"\d+\.\d\d%"), "RPS": Text(r"\d+\.\drps"), "P50": Text(r"\d+ms")},
)
def stat_of_the_server(context: ParityContext) -> Any:
    lines = [line.split() for line in viz(context, "stat", "deploy").text.splitlines() if line.startswith("server ")]
    return dict(zip(("MESHED", "SUCCESS", "RPS", "P50"), lines[0][1:5], strict=True)) if lines else None


@topic.row(
    "viz stat svc -o json: fields of a row",
    source=STAT,
    within=10,
    real=[
        "kind",
        "latency_ms_p50",
        "latency_ms_p95",
        "latency_ms_p99",
        "name",
        "namespace",
        "rps",
        "success",
        "tcp_open_connections",
        "tcp_read_bytes_rate",
        "tcp_write_bytes_rate",
    ],
)
def stat_json(context: ParityContext) -> Any:
    rows = viz(context, "stat", "svc", "-o", "json").json()
    return sorted(next((row for row in rows if row["name"] == "server"), {}))


@topic.row("viz stat deploy/server --from deploy/client: rows", source=STAT, within=20, real=["server"])
def stat_from(context: ParityContext) -> Any:
    return [line.split()[0] for line in viz(context, "stat", "deploy/server", "--from", "deploy/client").text.splitlines()[1:]]


@topic.row(
    "viz edges deploy: headings and the edge from client to server",
    source=EDGES,
    within=20,
    real=[["SRC", "DST", "SRC_NS", "DST_NS", "SECURED"], ["client", "server", "√"]],
)
def edges(context: ParityContext) -> Any:
    ran = viz(context, "edges", "deploy")
    rows = [line.split() for line in ran.text.splitlines() if line.startswith("client ") and " server " in line]
    same = [[row[0], row[1], row[-1]] for row in rows if row[2] == row[3]]
    return [headings(ran), same[0] if same else []]


@topic.row(
    "viz edges deploy -o json: that edge",
    source=EDGES,
    within=20,
    real={
        "src": "client",
        "dst": "server",
        "client_id": Text(r"client\..*"),
        "server_id": Text(r"server\..*"),
        "no_tls_reason": "",
    },
)
def edges_json(context: ParityContext) -> Any:
    names = ("src", "dst", "client_id", "server_id", "no_tls_reason")
    rows = [
        row for row in viz(context, "edges", "deploy", "-o", "json").json() if (row["src"], row["dst"]) == ("client", "server")
    ]
    return {name: rows[0].get(name) for name in names} if rows else None


@topic.row(
    "viz authz deploy/server: headings",
    source=AUTHZ,
    within=10,
    real=["ROUTE", "SERVER", "AUTHORIZATION", "UNAUTHORIZED", *NUMBERS],
)
def authz_headings(context: ParityContext) -> Any:
    return headings(viz(context, "authz", "deploy/server"))


@topic.row(
    "viz authz deploy/server: server and authorization without a policy",
    source=AUTHZ,
    within=20,
    real=["default:all-unauthenticated", "default/all-unauthenticated"],
)
def authz_default(context: ParityContext) -> Any:
    rows = [line.split() for line in viz(context, "authz", "deploy/server").text.splitlines() if line.startswith("default ")]
    return rows[0][1:3] if rows else None
