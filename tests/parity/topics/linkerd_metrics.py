"""What a proxy reports at :4191: names, labels and buckets."""

from __future__ import annotations

from typing import Any

from prometheus_client.samples import Sample

from tests.parity import demo
from tests.parity.context import ParityContext
from tests.parity.expect import Text, including
from tests.parity.metrics import labels_of, samples
from tests.parity.rows import Topic

topic = Topic("linkerd_metrics", "linkerd", "A proxy's metrics")
INBOUND = "11-metrics-incluster-inbound-server.prom"
OUTBOUND = "11-metrics-incluster-outbound-client.prom"


def traffic(context: ParityContext) -> str:
    """The meshed namespace after a 200, a 404 and a 500."""
    namespace = demo.meshed(context)

    def make() -> None:
        for path in ("/hello", "/status/404", "/status/500"):
            demo.ask(context, namespace, demo.url("server", namespace, path), times=6)

    context.once("traffic", make)
    return namespace


def names(found: list[Sample]) -> list[str]:
    return sorted({name for sample in found for name in sample.labels})


@topic.row(
    "labels of request_total at the server, meshed caller",
    source=INBOUND,
    within=5,
    real=[
        "authz_group",
        "authz_kind",
        "authz_name",
        "client_id",
        "direction",
        "route_group",
        "route_kind",
        "route_name",
        "srv_group",
        "srv_kind",
        "srv_name",
        "srv_port",
        "target_addr",
        "target_ip",
        "target_port",
        "tls",
    ],
)
def inbound_labels(context: ParityContext) -> Any:
    return names(samples(context, traffic(context), "server", "request_total", direction="inbound", tls="true"))


@topic.row(
    "labels that response_total adds",
    source=INBOUND,
    within=5,
    real=["classification", "error", "grpc_status", "status_code"],
)
def response_labels(context: ParityContext) -> Any:
    namespace = traffic(context)
    responses = names(samples(context, namespace, "server", "response_total", direction="inbound", tls="true"))
    requests = names(samples(context, namespace, "server", "request_total", direction="inbound", tls="true"))
    return sorted(set(responses) - set(requests))


@topic.row(
    "classification of 200, 404 and 500", source=INBOUND, within=5, real={"200": "success", "404": "success", "500": "failure"}
)
def classification(context: ParityContext) -> Any:
    found = samples(context, traffic(context), "server", "response_total", direction="inbound", tls="true")
    wanted = {"200", "404", "500"}
    return {s.labels["status_code"]: s.labels["classification"] for s in found if s.labels["status_code"] in wanted}


@topic.row(
    "labels of request_total at the client",
    source=OUTBOUND,
    within=5,
    real=including(
        "authority",
        "direction",
        "dst_control_plane_ns",
        "dst_deployment",
        "dst_namespace",
        "dst_pod",
        "dst_service",
        "dst_serviceaccount",
        "server_id",
        "target_addr",
        "target_ip",
        "target_port",
        "tls",
    ),
)
def outbound_labels(context: ParityContext) -> Any:
    return names(samples(context, traffic(context), "client", "request_total", direction="outbound", dst_deployment="server"))


@topic.row(
    "server_id and tls at the client",
    source=OUTBOUND,
    within=5,
    real={"tls": "true", "server_id": Text(r"server\..*\.serviceaccount\.identity\.linkerd\.cluster\.local")},
)
def outbound_identity(context: ParityContext) -> Any:
    found = samples(context, traffic(context), "client", "request_total", direction="outbound", dst_deployment="server")
    return labels_of(found, "tls", "server_id")


@topic.row(
    "how a caller without a proxy is labelled",
    source=INBOUND,
    within=5,
    real={"tls": "no_identity", "no_tls_reason": "no_tls_from_remote", "client_id": None},
)
def plaintext_labels(context: ParityContext) -> Any:
    namespace = traffic(context)
    demo.status(context, demo.plain(context), demo.url("server", namespace))
    found = samples(context, namespace, "server", "request_total", direction="inbound", route_name="default", tls="no_identity")
    return labels_of(found, "tls", "no_tls_reason", "client_id")


@topic.row(
    "how the kubelet's probes are counted: route_name, authz_name",
    source=INBOUND,
    within=5,
    real={"route_name": "probe", "authz_name": "probe"},
)
def probe_labels(context: ParityContext) -> Any:
    found = samples(
        context, traffic(context), "server", "request_total", direction="inbound", route_name="probe", target_port="8080"
    )
    return labels_of(found, "route_name", "authz_name")


@topic.row(
    "buckets of response_latency_ms",
    source=INBOUND,
    within=5,
    real=[
        "1",
        "2",
        "3",
        "4",
        "5",
        "10",
        "20",
        "30",
        "40",
        "50",
        "100",
        "200",
        "300",
        "400",
        "500",
        "1000",
        "2000",
        "3000",
        "4000",
        "5000",
        "10000",
        "20000",
        "30000",
        "40000",
        "50000",
        "+Inf",
    ],
)
def buckets(context: ParityContext) -> Any:
    found = samples(context, traffic(context), "server", "response_latency_ms_bucket", direction="inbound", tls="true")
    return sorted({sample.labels["le"] for sample in found}, key=float)


@topic.row("target_addr of the server", real=Text(r"10\.[\d.]+:8080"), source=INBOUND, within=5)
def target_address(context: ParityContext) -> Any:
    found = samples(context, traffic(context), "server", "request_total", direction="inbound", tls="true", target_port="8080")
    return found[0].labels["target_addr"] if found else None


@topic.row(
    "route metrics at the client: outbound_http_route_request_duration_seconds_count has the parent Service",
    real="server",
    source=OUTBOUND,
    within=5,
)
def route_metrics(context: ParityContext) -> Any:
    metric = "outbound_http_route_request_duration_seconds_count"
    found = samples(context, traffic(context), "client", metric, parent_name="server")
    return found[0].labels.get("parent_name") if found else None


@topic.row("open connections are a gauge with peer and direction", real=including("direction", "peer"), source=INBOUND, within=5)
def connections(context: ParityContext) -> Any:
    return names(samples(context, traffic(context), "server", "tcp_open_connections"))
