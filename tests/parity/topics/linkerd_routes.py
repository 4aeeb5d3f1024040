"""HTTPRoutes with a Service as parent: splits, header matches, backends that do not exist."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import ParityContext
from tests.parity.expect import Between, containing
from tests.parity.rows import Topic

topic = Topic("linkerd_routes", "linkerd", "HTTPRoutes")
SPLIT = "34-httproute-split.txt"
LOAD = "experiments/12-httproute.txt"
KIND = "gateway.networking.k8s.io/v1/HTTPRoute"


def backend(name: str, weight: int = 1) -> dict[str, Any]:
    return {"name": name, "port": demo.PORT, "weight": weight}


def split(context: ParityContext) -> str:
    """A Service whose route sends /split 90/10 to two Services, with a canary header to the second only."""
    namespace = demo.meshed(context)
    canary = {"path": {"type": "PathPrefix", "value": "/split"}, "headers": [{"name": "x-canary", "value": "yes"}]}
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/missing"}}], "backendRefs": [backend("does-not-exist")]},
        {"matches": [canary], "backendRefs": [backend("canary")]},
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/split"}}],
            "backendRefs": [backend("stable", 90), backend("canary", 10)],
        },
    ]
    parent = {"group": "", "kind": "Service", "name": "routed", "port": demo.PORT}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "split"},
        "spec": {"parentRefs": [parent], "rules": rules},
    }

    def make() -> None:
        services = [demo.service("routed", app="server"), demo.service("stable", app="server"), demo.service("canary")]
        demo.play(context, namespace, *demo.deployment("canary"), *services, route)
        demo.ask(context, namespace, demo.url("routed", namespace, "/split"), times=10, every=0.5)

    context.once("split", make)
    return namespace


def to_canary(context: ParityContext, times: int, **request: Any) -> float:
    """The share of calls that the canary answered."""
    namespace = split(context)
    answers = demo.ask(context, namespace, demo.url("routed", namespace, "/split"), times=times, reuse=True, **request)
    return sum('"pod": "canary-' in answer["body"] for answer in answers) / times


@topic.row("a split of 90 to 10: share of the second in 200 calls", real=Between(0.03, 0.19), source=LOAD, within=10)
def weights(context: ParityContext) -> Any:
    return to_canary(context, 200)


@topic.row("a rule that matches a header: share of its backend in 30 calls", real=1.0, source=LOAD, within=10)
def header_match(context: ParityContext) -> Any:
    return to_canary(context, 30, headers={"x-canary": "yes"})


@topic.row(
    "a backend that does not exist",
    source=SPLIT,
    within=10,
    real={"status": 500, "l5d-proxy-error": containing("Service not found")},
)
def missing_backend(context: ParityContext) -> Any:
    namespace = split(context)
    (answer,) = demo.ask(context, namespace, demo.url("routed", namespace, "/missing"))
    return {"status": answer["status"], "l5d-proxy-error": answer["headers"].get("l5d-proxy-error")}


@topic.row("a path that no rule matches", real=404, source=SPLIT, within=10)
def no_rule(context: ParityContext) -> Any:
    namespace = split(context)
    return demo.status(context, namespace, demo.url("routed", namespace, "/else"))


@topic.row(
    "the route's status", source=SPLIT, within=5, real={"Accepted": "True Accepted", "ResolvedRefs": "False BackendNotFound"}
)
def route_status(context: ParityContext) -> Any:
    found = kube.get(context.api(), KIND, "split", split(context)) or {}
    parents = found.get("status", {}).get("parents") or [{}]
    return {row["type"]: f"{row['status']} {row['reason']}" for row in parents[0].get("conditions", [])}
