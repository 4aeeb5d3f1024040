"""What the checks of several notebooks ask of a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labs.course.checks import Finding

if TYPE_CHECKING:
    from labs.clusters.base import Cluster


def get(cluster: Cluster, *words: str) -> dict[str, Any]:
    """``kubectl get WORDS -o json``, decoded; a list comes as an object with ``items``."""
    found: dict[str, Any] = json.loads(cluster.kubectl("get", *words, "-o", "json"))
    return found


def condition(item: dict[str, Any], type: str) -> bool:
    """Whether the object's condition of this type is True."""
    rows = item.get("status", {}).get("conditions", [])
    return any(row["type"] == type and row["status"] == "True" for row in rows)


def deployments_available(cluster: Cluster, namespace: str, *names: str, pods: int = 1) -> Finding:
    """All of these Deployments have their minimum of ready pods, and no fewer than ``pods``: 0 of 0 is "available" too."""
    items = {item["metadata"]["name"]: item for item in get(cluster, "deployments", "-n", namespace)["items"]}
    ready = {name: item["status"].get("readyReplicas", 0) for name, item in items.items()}
    missing = [name for name in names if name not in items]
    waiting = [name for name in names if name in items and not (condition(items[name], "Available") and ready[name] >= pods)]
    if missing or waiting:
        parts = [f"there is no {name} in {namespace}" for name in missing]
        parts += [f"{name} has {ready[name]} ready pods" for name in waiting]
        return Finding(False, "; ".join(parts))
    return Finding(True, ", ".join(f"{name} {ready[name]} ready" for name in names))


def meshed(cluster: Cluster, namespace: str, selector: str) -> Finding:
    """All running pods of the selector have a ready proxy (there must be at least one pod)."""
    pods = get(cluster, "pods", "-n", namespace, "-l", selector)["items"]
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    bare = [pod["metadata"]["name"] for pod in running if not _has_ready_proxy(pod)]
    if not running:
        return Finding(False, f"no pod with {selector} in {namespace}")
    if bare:
        return Finding(False, f"without a ready proxy: {', '.join(bare)}")
    return Finding(True, f"{len(running)} pods, each with a ready proxy")


def _has_ready_proxy(pod: dict[str, Any]) -> bool:
    status = pod.get("status", {})
    rows = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
    return any(row["name"] == "linkerd-proxy" and row["ready"] for row in rows)
