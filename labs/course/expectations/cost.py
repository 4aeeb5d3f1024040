"""Notebook 13: the same small server runs with and without the mesh, and is shared with the other cluster in both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import get, meshed

if TYPE_CHECKING:
    from labs.lab import Lab

NAMESPACE, PLAIN = "cost", "cost-plain"
FLAT = "multicluster.linkerd.io/remote-discovery"


@check(
    "13.1",
    "asker and echo have a ready proxy in namespace cost, and none in cost-plain",
    hint="run the cell of step 1 again",
    within=60,
)
def meshed_and_plain(lab: Lab) -> Finding:
    for cluster, name in ((lab.app, "asker"), (lab.app, "echo"), (lab.gpu, "echo")):
        found = meshed(cluster, NAMESPACE, f"app={name}")
        if not found.ok:
            return Finding(False, f"{cluster.name}: {found.found}")
    pods = get(lab.app, "pods", "-n", PLAIN)["items"]
    injected = [pod["metadata"]["name"] for pod in pods if _has_proxy(pod)]
    if injected or len(pods) < 2:
        return Finding(False, f"with a proxy in {PLAIN}: {', '.join(injected)}" if injected else f"{len(pods)} pods in {PLAIN}")
    return Finding(True, f"{len(pods)} pods without a proxy in {PLAIN}")


@check(
    "13.2",
    "echo-gpu comes through the gateway, and echo-flat-gpu from pod to pod",
    hint="run the cell of step 1 again",
    within=30,
)
def shared_in_both_ways(lab: Lab) -> Finding:
    items = get(lab.app, "services", "-n", NAMESPACE, "-l", "mirror.linkerd.io/mirrored-service=true")["items"]
    flat = {item["metadata"]["name"]: FLAT in item["metadata"].get("labels", {}) for item in items}
    found = ", ".join(f"{name} {'pod to pod' if is_flat else 'through the gateway'}" for name, is_flat in sorted(flat.items()))
    return Finding(flat == {"echo-gpu": False, "echo-flat-gpu": True}, found or f"no mirrored service in {NAMESPACE}")


def _has_proxy(pod: dict[str, Any]) -> bool:
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    return any(container["name"] == "linkerd-proxy" for container in containers)
