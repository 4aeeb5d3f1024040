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


def caller(context: ParityContext) -> str:
    """The meshed namespace of the app cluster that calls; its twin in the gpu cluster has one server ``web``."""
    namespace = demo.meshed(context)

    def make() -> None:
        mesh.linked(context)
        context.namespace("mesh", cluster="gpu", annotations=demo.INJECT)
        demo.play(context, namespace, *demo.deployment("web"), cluster="gpu")

    context.once("demo linked", make)
    return namespace


def export(context: ParityContext, name: str, labels: dict[str, Any], *, again: bool = False) -> None:
    """A Service of that name in front of ``web`` in the gpu cluster, with labels; None takes a label away."""
    namespace = caller(context)
    if again:
        kube.patch(context.api("gpu"), "Service", name, namespace, {"metadata": {"labels": labels}})
        return
    made = demo.service(name, app="web", labels=labels)

    def make() -> None:
        context.apply(namespace, made, cluster="gpu")
        mirrored = lambda: kube.get(context.api(), "Service", f"{name}-gpu", namespace)  # noqa: E731
        until(mirrored, lambda found: found is not None, 5)

    context.once(f"export {name}", make)


def gateway_mode(context: ParityContext, mirrored: str) -> Object | None:
    """The mirror of the Service ``web``."""
    export(context, "web", {EXPORTED: "true"})
    return kube.get(context.api(), "Service", mirrored, caller(context))


def mirror(context: ParityContext, name: str, field: str) -> dict[str, str] | None:
    """Labels or annotations of a mirror that Linkerd sets; the run's namespace is written NAMESPACE."""
    found = kube.get(context.api(), "Service", name, caller(context))
    if found is None:
        return None
    rows = found["metadata"].get(field) or {}
    return {key: value.replace(caller(context), "NAMESPACE") for key, value in rows.items() if "linkerd.io/" in key}


def remote_call(context: ParityContext, name: str, *, meshed: bool = True) -> demo.Answer:
    """One call to a mirror."""
    target = demo.url(name, caller(context))
    return demo.ask(context, caller(context) if meshed else demo.plain(context), target, timeout=15)[0]


def admit_the_client(context: ParityContext) -> None:
    """In the gpu cluster, ``web`` admits the ServiceAccount ``client`` of the same namespace and no one else."""
    namespace = caller(context)
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
    context.once("admit the client", lambda: context.apply(namespace, server, policy, cluster="gpu"))


def no_policy(context: ParityContext) -> None:
    for version, kind in (("v1alpha1", "AuthorizationPolicy"), ("v1beta3", "Server")):
        kube.delete(context.api("gpu"), f"{GROUP}/{version}/{kind}", "web", caller(context))


def federate(context: ParityContext) -> None:
    """The Service ``both`` is a member of a federated one in both clusters; in app a server ``local`` stands behind it."""
    namespace = caller(context)

    def make() -> None:
        no_policy(context)
        context.apply(namespace, demo.service("both", app="web", labels={FEDERATED: "member"}), cluster="gpu")
        here = demo.service("both", app="local", labels={FEDERATED: "member"})
        demo.play(context, namespace, *demo.deployment("local"), here)

    context.once("federate", make)


def scale_gateway(context: ParityContext, replicas: int) -> None:
    kube.patch(context.api("gpu"), "apps/v1/Deployment", "linkerd-gateway", mesh.MULTICLUSTER, {"spec": {"replicas": replicas}})
    kube.wait(context.api("gpu"), "Deployment", "linkerd-gateway", mesh.MULTICLUSTER, kube.rolled_out, timeout=60)


def seconds_until_back(context: ParityContext) -> float:
    """Bring the gateway back; seconds from its pod's readiness until a call succeeds."""
    scale_gateway(context, 1)
    begun = time.monotonic()
    until(lambda: remote_call(context, "web-gpu")["status"], lambda status: status == 200, 40, every=1)
    return time.monotonic() - begun
