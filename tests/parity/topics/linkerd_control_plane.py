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


def scale(stage: ParityContext, replicas: int, *parts: str) -> None:
    for part in parts:
        kube.patch(stage.api(), "Deployment", f"linkerd-{part}", "linkerd", {"spec": {"replicas": replicas}})
    for part in parts:
        kube.wait(stage.api(), "Deployment", f"linkerd-{part}", "linkerd", kube.rolled_out, timeout=60)


def without(stage: ParityContext) -> str:
    """All parts are scaled to 0; the client has called the server before."""
    namespace = demo.meshed(stage)

    def make() -> None:
        demo.status(stage, namespace, demo.url("server", namespace))
        scale(stage, 0, *PARTS)

    stage.once("control plane down", make)
    return namespace


def new_pod(stage: ParityContext, name: str) -> list[str]:
    """Names of all containers of a new pod in the meshed namespace."""
    namespace = demo.meshed(stage)
    stage.once(f"new {name}", lambda: stage.apply(namespace, *demo.client(name)))
    found = until(lambda: demo.pods(stage, namespace, name), bool, 15)
    spec = found[0]["spec"]
    return [row["name"] for row in spec.get("initContainers", []) + spec["containers"]]


@topic.row("no part runs: 20 calls between existing pods", real=[200] * 20, source=SOURCE)
def traffic_goes_on(stage: ParityContext) -> Any:
    namespace = without(stage)
    return [answer["status"] for answer in demo.ask(stage, namespace, demo.url("server", namespace), times=20)]


@topic.row("the injector does not run: containers of a new pod in an annotated namespace", real=["app"], source=SOURCE)
def fails_open(stage: ParityContext) -> Any:
    without(stage)
    return new_pod(stage, "unproxied")


@topic.row("linkerd check at that point: exit code", real=1, source="README.md")
def check_fails(stage: ParityContext) -> Any:
    without(stage)
    return stage.linkerd("check", "--wait", "1s").code


@topic.row("only identity is down: phase of a new meshed pod after 8 s", real="Pending", source=SOURCE)
def without_identity(stage: ParityContext) -> Any:
    namespace = without(stage)
    scale(stage, 1, "proxy-injector", "destination")
    new_pod(stage, "nameless")
    running = lambda: demo.pods(stage, namespace, "nameless")[0]["status"].get("phase")  # noqa: E731
    return until(running, lambda phase: phase == "Running", 8)


@topic.row("the same pod once identity is back", real="Running", source=SOURCE)
def identity_is_back(stage: ParityContext) -> Any:
    namespace = without(stage)
    scale(stage, 1, *PARTS)
    running = lambda: demo.pods(stage, namespace, "nameless")[0]["status"].get("phase")  # noqa: E731
    return until(running, lambda phase: phase == "Running", 60)
