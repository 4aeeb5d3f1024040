"""HTTP/2 as gRPC speaks it: one connection, many calls."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from labs.errors import CommandFailed
from tests.parity import demo
from tests.parity.context import ParityContext
from tests.parity.expect import Between
from tests.parity.metrics import samples
from tests.parity.rows import Topic

topic = Topic("linkerd_grpc", "linkerd", "gRPC")
BALANCING = "documented: linkerd.io/2-edge/features/load-balancing"
CLASSES = "documented: linkerd2-proxy/linkerd/proxy/client-policy/src/grpc.rs"
DENIAL = "documented: linkerd2-proxy/linkerd/app/inbound/src/http/server.rs"
HEADER = "documented: linkerd2-proxy/linkerd/app/inbound/src/http/set_identity_header.rs"
CALLS = 40
HEALTH = {"grpc": {"port": demo.PORT}}
OPEN = {"tcpSocket": {"port": demo.PORT}}
"""Under the policy ``deny`` the kubelet cannot probe by gRPC, only by TCP."""


def space(context: ParityContext) -> str:
    """The meshed namespace with two pods ``grpc``, and one ``grpc-deny`` that admits nobody."""
    namespace = demo.meshed(context)

    def make() -> None:
        servers = demo.deployment("grpc", replicas=2, program_name="grpc_server", probe=HEALTH)
        denies = {"config.linkerd.io/default-inbound-policy": "deny"}
        closed = demo.deployment("grpc-deny", program_name="grpc_server", probe=OPEN, annotations=denies)
        demo.play(context, namespace, *servers, demo.service("grpc"), *closed, demo.service("grpc-deny"))

    context.once("demo grpc", make)
    return namespace


def call(context: ParityContext, service: str, *calls: str) -> list[dict[str, Any]]:
    """Calls of the meshed client over one channel, each for a status code, or, empty, for an answer."""
    namespace = space(context)
    request = {"target": f"{service}.{namespace}.svc.cluster.local:{demo.PORT}", "calls": calls}
    words = ["exec", f"--namespace={namespace}", "deploy/client", "--container=app", "--", "python", "-c"]
    ran = context.kubectl(*words, demo.program("grpc_client"), json.dumps(request), timeout=60)
    if ran.code:
        raise CommandFailed(["kubectl", *words[:4]], ran.code, ran.text)
    answers: list[dict[str, Any]] = ran.json()
    return answers


@topic.row(
    f"{CALLS} calls over one HTTP/2 connection to two pods: the smaller share of the pods",
    real=Between(0.1, 0.5),
    source=BALANCING,
    within=10,
)
def balanced_per_request(context: ParityContext) -> Any:
    counted = Counter(answer.get("pod") for answer in call(context, "grpc", *[""] * CALLS))
    return min(counted.values()) / CALLS if len(counted) == 2 and None not in counted else 0


@topic.row(
    "the caller's name in the metadata that a server sees (l5d-client-id)",
    source=HEADER,
    within=10,
    real="client.NAMESPACE.serviceaccount.identity.linkerd.cluster.local",
)
def client_id(context: ParityContext) -> Any:
    (answer,) = call(context, "grpc", "")
    return answer.get("metadata", {}).get("l5d-client-id", "").replace(space(context), "NAMESPACE")


@topic.row(
    "classification by grpc_status at the server",
    source=CLASSES,
    within=10,
    real={"0": "success", "5": "success", "7": "failure", "14": "failure"},
)
def classification(context: ParityContext) -> Any:
    codes = ("", "NOT_FOUND", "PERMISSION_DENIED", "UNAVAILABLE")
    context.once("grpc codes", lambda: call(context, "grpc", *codes))
    # The kubelet's probe is a gRPC call too, and has no identity.
    found = samples(context, space(context), "grpc", "response_total", direction="inbound", tls="true")
    return {sample.labels["grpc_status"]: sample.labels["classification"] for sample in found}


@topic.row("a call that policy denies", real="PERMISSION_DENIED", source=DENIAL, within=5)
def denied(context: ParityContext) -> Any:
    return call(context, "grpc-deny", "")[0]["code"]
