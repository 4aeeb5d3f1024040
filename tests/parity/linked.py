"""Services of one cluster seen from the other: exports, calls across the link, a gateway scaled up and down."""

from __future__ import annotations

import time
from typing import Any

from labs import kube
from tests.parity import demo, mesh
from tests.parity.context import Object, ParityContext, until

EXPORTED = "mirror.linkerd.io/exported"
FEDERATED = "mirror.linkerd.io/federated"
GROUP = "policy.linkerd.io"


def caller(stage: ParityContext) -> str:
    """The meshed namespace of the app cluster that calls; its twin in the gpu cluster has one server ``web``."""
    namespace = demo.meshed(stage)

    def make() -> None:
        mesh.linked(stage)
        stage.namespace("mesh", context="gpu", annotations=demo.INJECT)
        demo.play(stage, namespace, *demo.deployment("web"), context="gpu")

    stage.once("demo linked", make)
    return namespace


def export(stage: ParityContext, name: str, labels: dict[str, Any], *, again: bool = False) -> None:
    """A Service of that name in front of ``web`` in the gpu cluster, with labels; None takes a label away."""
    namespace = caller(stage)
    if again:
        kube.patch(stage.api("gpu"), "Service", name, namespace, {"metadata": {"labels": labels}})
        return
    made = demo.service(name, app="web", labels=labels)

    def make() -> None:
        stage.apply(namespace, made, context="gpu")
        mirrored = lambda: kube.get(stage.api(), "Service", f"{name}-gpu", namespace)  # noqa: E731
        until(mirrored, lambda found: found is not None, 5)

    stage.once(f"export {name}", make)


def gateway_mode(stage: ParityContext, mirrored: str) -> Object | None:
    """The mirror of the Service ``web``."""
    export(stage, "web", {EXPORTED: "true"})
    return kube.get(stage.api(), "Service", mirrored, caller(stage))


def mirror(stage: ParityContext, name: str, field: str) -> dict[str, str] | None:
    """Labels or annotations of a mirror that Linkerd sets; the run's namespace is written NAMESPACE."""
    found = kube.get(stage.api(), "Service", name, caller(stage))
    if found is None:
        return None
    rows = found["metadata"].get(field) or {}
    return {key: value.replace(caller(stage), "NAMESPACE") for key, value in rows.items() if "linkerd.io/" in key}


def remote_call(stage: ParityContext, name: str, *, meshed: bool = True) -> demo.Answer:
    """One call to a mirror."""
    target = demo.url(name, caller(stage))
    return demo.ask(stage, caller(stage) if meshed else demo.plain(stage), target, timeout=15)[0]


def admit_the_client(stage: ParityContext) -> None:
    """In the gpu cluster, ``web`` admits the ServiceAccount ``client`` of the same namespace and no one else."""
    namespace = caller(stage)
    selector = {"matchLabels": {"app": "web"}}
    server = {
        "apiVersion": f"{GROUP}/v1beta3",
        "kind": "Server",
        "metadata": {"name": "web"},
        "spec": {"podSelector": selector, "port": "http", "proxyProtocol": "HTTP/1"},
    }
    policy = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "web"},
        "spec": {
            "targetRef": {"group": GROUP, "kind": "Server", "name": "web"},
            "requiredAuthenticationRefs": [{"kind": "ServiceAccount", "name": "client"}],
        },
    }
    stage.once("admit the client", lambda: stage.apply(namespace, server, policy, context="gpu"))


def no_policy(stage: ParityContext) -> None:
    for version, kind in (("v1alpha1", "AuthorizationPolicy"), ("v1beta3", "Server")):
        kube.delete(stage.api("gpu"), f"{GROUP}/{version}/{kind}", "web", caller(stage))


def federate(stage: ParityContext) -> None:
    """The Service ``both`` is a member of a federated one in both clusters; in app a server ``local`` stands behind it."""
    namespace = caller(stage)

    def make() -> None:
        no_policy(stage)
        stage.apply(namespace, demo.service("both", app="web", labels={FEDERATED: "member"}), context="gpu")
        here = demo.service("both", app="local", labels={FEDERATED: "member"})
        demo.play(stage, namespace, *demo.deployment("local"), here)

    stage.once("federate", make)


def scale_gateway(stage: ParityContext, replicas: int) -> None:
    kube.patch(stage.api("gpu"), "apps/v1/Deployment", "linkerd-gateway", mesh.MULTICLUSTER, {"spec": {"replicas": replicas}})
    kube.wait(stage.api("gpu"), "Deployment", "linkerd-gateway", mesh.MULTICLUSTER, kube.rolled_out, timeout=60)


def seconds_until_back(stage: ParityContext) -> float:
    """Bring the gateway back; seconds from its pod's readiness until a call succeeds."""
    scale_gateway(stage, 1)
    begun = time.monotonic()
    until(lambda: remote_call(stage, "web-gpu")["status"], lambda status: status == 200, 40, every=1)
    return time.monotonic() - begun
