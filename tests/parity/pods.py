"""Pods for the kubelet's rows: one container ``main`` in a shell, created on first use, then only observed."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity.context import Object, ParityContext, events, required

SHELL = "busybox:1"
LOOP = "while :; do sleep 0.2; done"
POLITE = f"trap 'exit 0' TERM; {LOOP}"
"""Runs until it is asked to end, then exits with 0."""


def space(context: ParityContext) -> str:
    """The namespace of the kubelet's rows."""
    return context.namespace("kubelet")


def pod(context: ParityContext, name: str, script: str | None = None, *, spec: Object | None = None, **container: Any) -> Object:
    """The pod as it is now; ``script`` runs in a shell, ``container`` and ``spec`` add fields to the container and the pod."""
    namespace = space(context)
    context.once(f"pod {name}", lambda: context.apply(namespace, manifest(name, script, spec=spec, **container)))
    return required(kube.get(context.api(), "Pod", name, namespace), f"pod {name}")


def manifest(name: str, script: str | None, *, spec: Object | None = None, **container: Any) -> Object:
    main: Object = {"name": "main", "image": SHELL}
    if script is not None:
        main["command"] = ["sh", "-c", script]
    whole = {"containers": [main | container], "terminationGracePeriodSeconds": 2} | (spec or {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"parity": name}}, "spec": whole}


def main_status(found: Object) -> Object:
    """The status of the container ``main``; empty fields before the kubelet has written it."""
    rows = found["status"].get("containerStatuses") or [{}]
    first: Object = rows[0]
    return {"state": {}, "lastState": {}, "restartCount": 0} | first


def waiting(found: Object) -> Object:
    return main_status(found)["state"].get("waiting") or {}


def ended(found: Object, last: bool = False) -> Object:
    """``terminated`` of the container's state, or of its last state."""
    return main_status(found)["lastState" if last else "state"].get("terminated") or {}


def end(found: Object) -> Object:
    """How a pod ended: phase, reason, exit code."""
    how = ended(found)
    return {"phase": found["status"].get("phase"), "reason": how.get("reason"), "exit code": how.get("exitCode")}


def is_ready(found: Object) -> bool:
    return kube.ready(found) is None


def event_messages(context: ParityContext, name: str, reason: str) -> list[str]:
    """Messages of the pod's events with this reason, the oldest first."""
    return [event["message"] for event in events(context, space(context), name) if event["reason"] == reason]


def event(context: ParityContext, name: str, reason: str) -> str:
    """The message of the pod's first event with this reason; empty where there is none."""
    return next(iter(event_messages(context, name, reason)), "")


def shell_in(context: ParityContext, *args: str, timeout: float = 60) -> tuple[int, str]:
    """kubectl in the namespace: exit code and output."""
    ran = context.kubectl("--namespace", space(context), *args, timeout=timeout)
    return ran.code, ran.text
