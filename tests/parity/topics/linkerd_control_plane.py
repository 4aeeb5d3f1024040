"""The control plane goes away, a part at a time; the data plane keeps what it knows."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import ParityContext, until
from tests.parity.rows import Topic

topic = Topic("linkerd_control_plane", "linkerd", "Without a control plane", ordered=True, alone=True)
SOURCE = "experiments/10-control-plane-down.txt"
PARTS = ("destination", "identity", "proxy-injector")


def scale(context: ParityContext, replicas: int, *parts: str) -> None:
    for part in parts:
        kube.patch(context.api(), "Deployment", f"linkerd-{part}", "linkerd", {"spec": {"replicas": replicas}})
    for part in parts:
        kube.wait(context.api(), "Deployment", f"linkerd-{part}", "linkerd", kube.rolled_out, timeout=60)


def without(context: ParityContext) -> str:
    """All parts are scaled to 0; the client has called the server before."""
    namespace = demo.meshed(context)

    def make() -> None:
        demo.status(context, namespace, demo.url("server", namespace))
        scale(context, 0, *PARTS)

    context.once("control plane down", make)
    return namespace


def new_pod(context: ParityContext, name: str) -> list[str]:
    """Names of all containers of a new pod in the meshed namespace."""
    namespace = demo.meshed(context)
    context.once(f"new {name}", lambda: context.apply(namespace, *demo.client(name)))
    found = until(lambda: demo.pods(context, namespace, name), bool, 15)
    spec = found[0]["spec"]
    return [row["name"] for row in spec.get("initContainers", []) + spec["containers"]]


def injects(context: ParityContext, namespace: str) -> bool:
    """Whether the API server reaches the injector again: it lags behind the Deployment, and without an answer pods pass."""
    words = ("run", "probe", "--image=busybox", "--dry-run=server", "--output=json", "--namespace", namespace)
    return "linkerd-proxy" in context.clusters["app"].kubectl(*words)


@topic.row("no part runs: 20 calls between existing pods", real=[200] * 20, source=SOURCE)
def traffic_goes_on(context: ParityContext) -> Any:
    namespace = without(context)
    return [answer["status"] for answer in demo.ask(context, namespace, demo.url("server", namespace), times=20)]


@topic.row("the injector does not run: containers of a new pod in an annotated namespace", real=["app"], source=SOURCE)
def fails_open(context: ParityContext) -> Any:
    without(context)
    return new_pod(context, "unproxied")


@topic.row("linkerd check at that point: exit code", real=1, source="README.md")
def check_fails(context: ParityContext) -> Any:
    without(context)
    return context.linkerd("check", "--wait", "1s").code


@topic.row("only identity is down: phase of a new meshed pod after 8 s", real="Pending", source=SOURCE)
def without_identity(context: ParityContext) -> Any:
    namespace = without(context)
    scale(context, 1, "proxy-injector", "destination")
    until(lambda: injects(context, namespace), bool, 15)
    new_pod(context, "nameless")
    running = lambda: demo.pods(context, namespace, "nameless")[0]["status"].get("phase")  # noqa: E731
    return until(running, lambda phase: phase == "Running", 8)


@topic.row("the same pod once identity is back", real="Running", source=SOURCE)
def identity_is_back(context: ParityContext) -> Any:
    namespace = without(context)
    scale(context, 1, *PARTS)
    running = lambda: demo.pods(context, namespace, "nameless")[0]["status"].get("phase")  # noqa: E731
    return until(running, lambda phase: phase == "Running", 60)
