"""``config.linkerd.io/default-inbound-policy`` on a pod: who gets in without any other policy."""

from __future__ import annotations

from typing import Any

from tests.parity import demo
from tests.parity.context import Object, ParityContext
from tests.parity.metrics import labels_of, samples
from tests.parity.rows import Topic

topic = Topic("linkerd_default_policy", "linkerd", "Default inbound policy")
ANNOTATION = "config.linkerd.io/default-inbound-policy"
POLICIES = (
    "all-unauthenticated",
    "all-authenticated",
    "cluster-unauthenticated",
    "cluster-authenticated",
    "deny",
    "audit",
    "bogus",
)


def recorded(policy: str) -> str:
    return f"26-default-inbound-policy-{policy}.txt"


def space(context: ParityContext) -> str:
    """A namespace with a meshed server per default policy, in its name."""
    namespace = context.namespace("inbound", annotations=demo.INJECT)

    def make() -> None:
        demo.meshed(context)
        found: list[Object] = []
        for policy in POLICIES:
            found += [*demo.deployment(policy, annotations={ANNOTATION: policy}), demo.service(policy)]
        demo.play(context, namespace, *found)

    context.once("demo inbound", make)
    return namespace


def admitted(context: ParityContext, policy: str) -> dict[str, Any]:
    """Statuses that a meshed client and one without a proxy get from the server with this policy."""
    target = demo.url(policy, space(context))
    return {
        "meshed": demo.status(context, demo.meshed(context), target),
        "unmeshed": demo.status(context, demo.plain(context), target),
    }


def admits(policy: str, meshed: int, unmeshed: int) -> None:
    """A row for a policy."""

    def probe(context: ParityContext) -> Any:
        return admitted(context, policy)

    probe.__name__ = policy.replace("-", "_")
    topic.row(policy, real={"meshed": meshed, "unmeshed": unmeshed}, source=recorded(policy), within=3)(probe)


admits("all-unauthenticated", 200, 200)
admits("all-authenticated", 200, 403)
admits("cluster-unauthenticated", 200, 200)
admits("cluster-authenticated", 200, 403)
admits("deny", 403, 403)
admits("audit", 200, 200)
admits("bogus", 200, 200)


@topic.row("ready pods under the policy deny (the kubelet's probes pass)", real="1/1", source=recorded("deny"))
def probes_pass(context: ParityContext) -> Any:
    return context.kubectl("get", "deploy", "deny", "-n", space(context), "--no-headers").text.split()[1]


@topic.row(
    "the policy's name in the proxy's metrics: srv_name and authz_name of an admitted request",
    real={"srv_name": "all-authenticated", "authz_name": "all-authenticated"},
    source=recorded("all-authenticated"),
    within=5,
)
def name_in_metrics(context: ParityContext) -> Any:
    admitted(context, "all-authenticated")
    found = samples(context, space(context), "all-authenticated", "request_total", tls="true", direction="inbound")
    return labels_of(found, "srv_name", "authz_name")


@topic.row("the same for an invalid policy", real="all-unauthenticated", source=recorded("bogus"), within=5)
def name_of_an_invalid_policy(context: ParityContext) -> Any:
    admitted(context, "bogus")
    found = samples(context, space(context), "bogus", "request_total", tls="true", direction="inbound")
    return found[0].labels.get("srv_name") if found else None
