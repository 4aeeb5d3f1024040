"""Opaque ports: mTLS and policy as usual, but nothing looks at what a connection carries."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.parity import demo
from tests.parity.context import ParityContext
from tests.parity.expect import Text
from tests.parity.metrics import labels_of, samples
from tests.parity.rows import Topic

topic = Topic("linkerd_opaque", "linkerd", "Opaque ports")
DETECTION = "documented: linkerd.io/2-edge/features/protocol-detection"
BALANCING = "documented: linkerd.io/2-edge/features/load-balancing"
REJECTION = "documented: linkerd.io/2-edge/features/server-policy"
COUNTED = "documented: linkerd2-proxy/linkerd/app/inbound/src/metrics/authz.rs"
LOGGED = "documented: linkerd2-proxy/linkerd/app/inbound/src/policy/tcp.rs"
INBOUND = "11-metrics-incluster-inbound-server.prom"
OUTBOUND = "11-metrics-incluster-outbound-client.prom"
GROUP = "policy.linkerd.io"
CALLS = 40


def space(context: ParityContext) -> str:
    """The meshed namespace with two pods ``opaque`` whose port is so by annotation, of them and of their Service."""
    namespace = demo.meshed(context)
    annotations = {"config.linkerd.io/opaque-ports": str(demo.PORT)}

    def make() -> None:
        servers = demo.deployment("opaque", replicas=2, annotations=annotations)
        demo.play(context, namespace, *servers, demo.service("opaque", annotations=annotations))

    context.once("demo opaque", make)
    return namespace


def called(context: ParityContext) -> list[demo.Answer]:
    """What the client got from calls over one connection."""
    namespace = space(context)
    return context.once(
        "opaque calls", lambda: demo.ask(context, namespace, demo.url("opaque", namespace), times=CALLS, reuse=True)
    )


@topic.row(
    "an HTTP call to a port that Service and pod call opaque", real={"status": 200, "l5d-client-id": None}, source=DETECTION
)
def call(context: ParityContext) -> Any:
    first = called(context)[0]
    return {"status": first["status"], "l5d-client-id": demo.seen(first).get("l5d-client-id")}


@topic.row(
    f"{CALLS} calls over one connection to two pods: how many pods answered",
    real=1,
    source=BALANCING,
    differs="a client talks to its proxy as an HTTP proxy, so each call may reach a different pod",
)
def balanced_per_connection(context: ParityContext) -> Any:
    return len({json.loads(answer["body"])["pod"] for answer in called(context) if answer["body"]})


@topic.row("requests to the port in the server's request_total, the kubelet's probes included", real=0, source=DETECTION)
def no_requests(context: ParityContext) -> Any:
    called(context)
    return len(samples(context, space(context), "opaque", "request_total", direction="inbound", target_port=str(demo.PORT)))


@topic.row("requests in the client's request_total", real=0, source=DETECTION)
def no_requests_at_the_client(context: ParityContext) -> Any:
    called(context)
    return len(samples(context, space(context), "client", "request_total", direction="outbound", dst_service="opaque"))


@topic.row(
    "labels of the caller's connection in the server's tcp_open_total",
    source=INBOUND,
    within=8,
    real={
        "peer": "src",
        "tls": "true",
        "client_id": Text(r"client\..*"),
        "srv_kind": "default",
        "srv_name": "all-unauthenticated",
        "srv_port": "8080",
    },
)
def connections(context: ParityContext) -> Any:
    called(context)
    found = samples(context, space(context), "opaque", "tcp_open_total", direction="inbound", tls="true", srv_port="8080")
    names = ("peer", "tls", "client_id", "srv_kind", "srv_name", "srv_port")
    return labels_of(found, *names)


@topic.row(
    "tls and no_tls_reason of a connection from outside the mesh",
    source=INBOUND,
    within=8,
    real={"tls": "no_identity", "no_tls_reason": "no_tls_from_remote"},
)
def plaintext(context: ParityContext) -> Any:
    namespace = space(context)
    context.once("opaque plaintext", lambda: demo.status(context, demo.plain(context), demo.url("opaque", namespace)))
    found = samples(context, namespace, "opaque", "tcp_open_total", direction="inbound", tls="no_identity", srv_port="8080")
    return labels_of(found, "tls", "no_tls_reason")


@topic.row(
    "the policy that admitted it, according to the server's inbound_tcp_authz_allow_total",
    source=COUNTED,
    within=8,
    real={"tls": "true", "srv_name": "all-unauthenticated", "authz_kind": "default", "authz_name": "all-unauthenticated"},
)
def admission(context: ParityContext) -> Any:
    called(context)
    found = samples(context, space(context), "opaque", "inbound_tcp_authz_allow_total", tls="true", srv_port="8080")
    names = ("tls", "srv_name", "authz_kind", "authz_name")
    return labels_of(found, *names)


@topic.row(
    "tls and server_id in the client's tcp_open_total",
    source=OUTBOUND,
    real={"tls": "true", "server_id": Text(r"opaque\..*")},
    missing="only incoming connections are counted: the outgoing ones are Envoy's, which keeps them for later calls",
)
def connections_of_the_client(context: ParityContext) -> Any:
    called(context)
    found = samples(context, space(context), "client", "tcp_open_total", direction="outbound", peer="dst", dst_service="opaque")
    return labels_of(found, "tls", "server_id")


def sealed(context: ParityContext) -> str:
    """A server under a Server that calls its port opaque and admits the client's identity only; returns its URL."""
    namespace = demo.meshed(context)
    spec = {"podSelector": {"matchLabels": {"app": "sealed"}}, "port": "http", "proxyProtocol": "opaque"}
    server = {"apiVersion": f"{GROUP}/v1beta3", "kind": "Server", "metadata": {"name": "sealed"}, "spec": spec}
    policy = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "sealed"},
        "spec": {
            "targetRef": {"group": GROUP, "kind": "Server", "name": "sealed"},
            "requiredAuthenticationRefs": [{"kind": "ServiceAccount", "name": "client"}],
        },
    }
    # The kubelet has no identity, and no path to be told by: it may only knock.
    servers = demo.deployment("sealed", probe={"tcpSocket": {"port": "http"}})
    context.once("demo sealed", lambda: demo.play(context, namespace, *servers, demo.service("sealed"), server, policy))
    return demo.url("sealed", namespace)


def refused(context: ParityContext) -> Any:
    """What a client without a proxy got from it."""
    target = sealed(context)
    return context.once("opaque refused", lambda: demo.status(context, demo.plain(context), target))


@topic.row(
    "a Server with proxyProtocol opaque and a policy for the client: its call",
    source=REJECTION,
    within=10,
    real={"status": 200, "l5d-client-id": None},
)
def admitted(context: ParityContext) -> Any:
    (answer,) = demo.ask(context, demo.meshed(context), sealed(context))
    return {"status": answer["status"], "l5d-client-id": answer["body"] and demo.seen(answer).get("l5d-client-id")}


@topic.row(
    "a call from anybody else: the connection is closed without an answer",
    source=REJECTION,
    real=Text("RemoteDisconnected|ConnectionResetError"),
    differs="it is closed, but the node's forward proxy sits in between and returns a 503",
)
def closed(context: ParityContext) -> Any:
    return refused(context)


@topic.row(
    "how the server's proxy counts it in inbound_tcp_authz_deny_total",
    source=COUNTED,
    within=8,
    real={"srv_kind": "server", "srv_name": "sealed", "tls": "no_identity", "no_tls_reason": "no_tls_from_remote"},
)
def count_of_a_denial(context: ParityContext) -> Any:
    refused(context)
    found = samples(context, demo.meshed(context), "sealed", "inbound_tcp_authz_deny_total", srv_port="8080")
    names = ("srv_kind", "srv_name", "tls", "no_tls_reason")
    return labels_of(found, *names)


@topic.row(
    "the server proxy's log entry for it",
    source=LOGGED,
    within=5,
    real=Text("Connection denied server.group=policy.linkerd.io server.kind=server server.name=sealed tls=.*"),
)
def log_of_a_denial(context: ParityContext) -> Any:
    refused(context)
    text = context.kubectl("logs", "-n", demo.meshed(context), "deploy/sealed", "-c", "linkerd-proxy", "--tail=200").text
    found = re.findall(r"Connection denied .*", text)
    return found[-1] if found else None
