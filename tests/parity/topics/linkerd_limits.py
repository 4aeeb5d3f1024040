"""Rate limits of a Server, and calls that leave the cluster."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import Object, ParityContext
from tests.parity.rows import Topic

topic = Topic("linkerd_limits", "linkerd", "Rate limits and egress", ordered=True)
LIMITS = "documented: linkerd2-proxy/linkerd/proxy/server-policy/src/local_rate_limit.rs"
EGRESS = "documented: linkerd2/policy-controller/grpc/src/outbound/http.rs"
STATUS = "documented: linkerd2/policy-controller/k8s/status/src/index.rs"
GROUP = "policy.linkerd.io"
OUTSIDE = "http://93.184.216.34/"
"""An address of the internet; a call that is denied is never sent there."""
TAKES_HOLD = 8


def space(context: ParityContext) -> str:
    """A namespace with a meshed server and client of its own."""
    namespace = context.namespace("limits", annotations=demo.INJECT)

    def make() -> None:
        demo.meshed(context)
        demo.play(context, namespace, *demo.deployment("server"), demo.service("server"), *demo.client())

    context.once("demo limits", make)
    return namespace


def put(context: ParityContext, version: str, kind: str, name: str, **spec: Any) -> None:
    """Apply a policy object, once."""
    body: Object = {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec}
    namespace = space(context)
    context.once(f"{kind}/{name}", lambda: context.apply(namespace, body))


def limited(context: ParityContext) -> None:
    selector = {"matchLabels": {"app": "server"}}
    put(context, "v1beta3", "Server", "http", podSelector=selector, port="http", accessPolicy="all-unauthenticated")
    target = {"group": GROUP, "kind": "Server", "name": "http"}
    put(context, "v1alpha1", "HTTPLocalRateLimitPolicy", "five", targetRef=target, total={"requestsPerSecond": 5})


@topic.row("40 calls at once under a limit of 5 a second: their statuses", real=[200, 429], source=LIMITS, within=TAKES_HOLD)
def rate_limit(context: ParityContext) -> Any:
    limited(context)
    answers = demo.ask(context, space(context), demo.url("server", space(context)), times=40, reuse=True)
    return sorted({answer["status"] for answer in answers})


@topic.row("the policy's status", real={"Accepted": "True Accepted"}, source=STATUS, within=TAKES_HOLD)
def rate_limit_status(context: ParityContext) -> Any:
    limited(context)
    return conditions(context, "HTTPLocalRateLimitPolicy", "five")


def conditions(context: ParityContext, kind: str, name: str) -> dict[str, str]:
    found = kube.get(context.api(), f"{GROUP}/v1alpha1/{kind}", name, space(context)) or {}
    rows = found.get("status", {}).get("conditions") or []
    return {row["type"]: f"{row['status']} {row['reason']}" for row in rows}


@topic.row(
    "EgressNetwork with trafficPolicy Deny: a call to an address outside the cluster", real=403, source=EGRESS, within=TAKES_HOLD
)
def egress_denied(context: ParityContext) -> Any:
    put(context, "v1alpha1", "EgressNetwork", "internet", trafficPolicy="Deny")
    return demo.status(context, space(context), OUTSIDE, timeout=5)


@topic.row("a call inside the cluster meanwhile", real=200, source=EGRESS, within=TAKES_HOLD)
def egress_inside(context: ParityContext) -> Any:
    put(context, "v1alpha1", "EgressNetwork", "internet", trafficPolicy="Deny")
    return demo.status(context, space(context), demo.url("server", demo.meshed(context)))


@topic.row("the network's status", real={"Accepted": "True Accepted"}, source=STATUS, within=TAKES_HOLD)
def egress_status(context: ParityContext) -> Any:
    put(context, "v1alpha1", "EgressNetwork", "internet", trafficPolicy="Deny")
    return conditions(context, "EgressNetwork", "internet")


@topic.row(
    "the status of a network that contains cluster addresses",
    real={"Accepted": "False EgressReasonNetworkOverlap"},
    source=STATUS,
    within=TAKES_HOLD,
)
def egress_overlap(context: ParityContext) -> Any:
    put(context, "v1alpha1", "EgressNetwork", "inside", trafficPolicy="Deny", networks=[{"cidr": "10.0.0.0/8"}])
    return conditions(context, "EgressNetwork", "inside")
