"""Notebook 06: strangers are refused, the chat is served, and from pod to pod it is known by its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs import errors
from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import get
from labs.course.expectations.multicluster import chat_is_answered

if TYPE_CHECKING:
    from labs.clusters.base import Cluster
    from labs.lab import Lab

MODELS = "http://model-server.ml.svc.cluster.local:8000/v1/models"
FLAT = "http://model-server-flat-gpu.ml.svc.cluster.local:8000/v1/models"
DEFAULT = "config.linkerd.io/default-inbound-policy"
GATEWAY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"


@check(
    "06.1", "a caller without an identity gets 403 from the model server", hint="run the cells of steps 1 and 2 again", within=15
)
def strangers_are_refused(lab: Lab) -> Finding:
    """Asked by a pod, not from this machine: a port-forward ends behind the proxy, where no policy holds."""
    status = _status(lab.gpu, "exec", "stranger", url=MODELS)
    return Finding(status == "403", f"status {status}")


@check("06.2", "the policy names the gateway's identity", hint="run the last cell of step 3 again")
def gateway_is_named(lab: Lab) -> Finding:
    identities = get(lab.gpu, "meshtlsauthentication", "model-callers", "-n", "ml")["spec"]["identities"]
    return Finding(GATEWAY in identities, ", ".join(identities))


@check("06.3", "the chat is served through the gateway", hint="run the cell of step 3 again", within=20)
def chat_is_served(lab: Lab) -> Finding:
    return chat_is_answered(lab)


@check("06.4", "namespace ml denies by default, and so do all its pods", hint="run the cell of step 2 again", within=60)
def default_is_deny(lab: Lab) -> Finding:
    pods = get(lab.gpu, "pods", "-n", "ml")["items"]
    items = [get(lab.gpu, "namespace", "ml"), *(pod for pod in pods if "deletionTimestamp" not in pod["metadata"])]
    others = [item["metadata"]["name"] for item in items if item["metadata"].get("annotations", {}).get(DEFAULT) != "deny"]
    return Finding(not others, f"without {DEFAULT}=deny: {', '.join(others)}" if others else f"{len(items) - 1} pods deny")


@check(
    "06.5",
    "from pod to pod the chat may ask the model, and a visitor may not",
    hint="run the first cell of step 4 again",
    within=30,
)
def callers_are_told_apart(lab: Lab) -> Finding:
    chat = _status(lab.app, "exec", "-n", "shop", "deploy/chat", "-c", "chat", url=FLAT)
    visitor = _status(lab.app, "exec", "-n", "tenant", "deploy/visitor", "-c", "visitor", url=FLAT)
    return Finding((chat, visitor) == ("200", "403"), f"the chat {chat}, the visitor {visitor}")


def _status(cluster: Cluster, *where: str, url: str) -> str:
    """The status that a pod gets, or why it gets none."""
    try:
        return cluster.kubectl(*where, "--", "python", "-m", "labs.pods", "http-status", url).strip()
    except errors.CommandFailed as error:
        return error.output.strip()
