"""Notebook 05: the link is alive, the model server is mirrored, and the chat gets answers through it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import deployments_available, get, meshed

if TYPE_CHECKING:
    from labs.lab import Lab


@check("05.1", "the gateway runs in the gpu cluster", hint="run the cell of step 1 again", within=60)
def gateway_runs(lab: Lab) -> Finding:
    return deployments_available(lab.gpu, "linkerd-multicluster", "linkerd-gateway")


@check(
    "05.2",
    "model-server-gpu is mirrored into the app cluster",
    hint="is model-server labelled mirror.linkerd.io/exported=true?",
    within=20,
)
def service_is_mirrored(lab: Lab) -> Finding:
    items = get(lab.app, "services", "-n", "ml", "-l", "mirror.linkerd.io/mirrored-service=true")["items"]
    names = [item["metadata"]["name"] for item in items]
    return Finding("model-server-gpu" in names, ", ".join(names) or "no mirrored service in ml")


@check("05.3", "every chat pod has a ready proxy", hint="run the cell of step 3 again", within=60)
def chat_is_meshed(lab: Lab) -> Finding:
    return meshed(lab.app, "shop", "app.kubernetes.io/name=chat")


@check(
    "05.4", "the chat gets an answer from a pod of the gpu cluster", hint="linkerd --context app multicluster gateways", within=30
)
def chat_is_answered(lab: Lab) -> Finding:
    request = urllib.request.Request(
        lab.url("shop/chat", cluster=lab.app.name) + "/api/chat",
        json.dumps({"message": "Is the link up?"}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        return Finding(False, f"the chat answered {error.code}: {error.read().decode(errors='replace')[:200]}")
    except OSError as error:
        return Finding(False, f"no answer: {error}")
    return Finding(answer["cluster"] == lab.gpu.name, f"{answer['pod']} in cluster {answer['cluster']}")
