"""How many GPUs are free, and who holds the others."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labs import kube
from labs.clusters.base import Cluster
from labs.errors import Taken

RESOURCE = "nvidia.com/gpu"
ENDED = ("Succeeded", "Failed")
"""Phases of pods that no longer hold anything."""


def offered(cluster: Cluster) -> dict[str, int]:
    """The whole GPUs that each node offers, by node; nodes without any are left out."""
    counts = {row["metadata"]["name"]: _count(row["status"].get("allocatable", {})) for row in kube.select(cluster.api, "Node")}
    return {name: count for name, count in counts.items() if count}


def held(cluster: Cluster) -> pd.DataFrame:
    """The pods that hold GPUs: a row each with ``node``, ``owner`` (what to scale down, for kubectl) and ``gpus``."""
    pods = [pod for pod in kube.select(cluster.api, "Pod") if pod["status"].get("phase") not in ENDED]
    rows = [(pod["spec"]["nodeName"], owner(pod), wanted(pod)) for pod in pods if pod["spec"].get("nodeName") and wanted(pod)]
    return pd.DataFrame(rows, columns=["node", "owner", "gpus"])


def table(cluster: Cluster) -> pd.DataFrame:
    """A row per node: its GPUs, how many are free, and who holds the others."""
    holders = held(cluster)
    rows = {}
    for node, count in offered(cluster).items():
        here = holders[holders["node"] == node]
        by = here.groupby("owner")["gpus"].sum()
        rows[node] = {
            "gpus": count,
            "free": count - int(here["gpus"].sum()),
            "held by": ", ".join(f"{o} ({n})" for o, n in by.items()),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["gpus", "free", "held by"])


def require(cluster: Cluster, needed: int, purpose: str) -> pd.DataFrame:
    """``table``, if ``needed`` GPUs are free.

    Raises:
        Taken: there are fewer; the message names the holders, the fix frees the largest holder's.
    """
    found = table(cluster)
    free = int(found["free"].sum())
    if free >= needed:
        return found
    by = held(cluster).groupby("owner")["gpus"].sum().sort_values(ascending=False)
    listing = ", ".join(f"{holder} holds {count}" for holder, count in by.items()) or "no node offers more"
    raise Taken(
        f"expected {needed} free GPUs for {purpose}; found {free}: {listing}",
        fix=release(cluster, str(by.index[0])) if len(by) else "",
    )


def release(cluster: Cluster, holder: str) -> str:
    """The command that gives back the GPUs of ``NAMESPACE/KIND/NAME``."""
    namespace, kind, name = holder.split("/")
    verb = f"delete pod {name}" if kind == "pod" else f"scale {kind} {name} --replicas=0"
    return f"kubectl --context {cluster.context} -n {namespace} {verb}"


def owner(pod: dict[str, Any]) -> str:
    """Who created a pod, as ``NAMESPACE/KIND/NAME``: its Deployment, another controller, or the pod itself."""
    meta = pod["metadata"]
    reference = next((row for row in meta.get("ownerReferences", []) if row.get("controller")), None)
    if reference is None:
        return f"{meta['namespace']}/pod/{meta['name']}"
    kind, name = reference["kind"].lower(), reference["name"]
    hashed = meta.get("labels", {}).get("pod-template-hash")
    if kind == "replicaset" and hashed:
        kind, name = "deployment", name.removesuffix(f"-{hashed}")
    return f"{meta['namespace']}/{kind}/{name}"


def wanted(pod: dict[str, Any]) -> int:
    """The GPUs a pod takes: the sum over its containers, or its largest init container's if that is more."""
    spec = pod["spec"]
    main = sum(_limit(row) for row in spec["containers"])
    return max([main, *(_limit(row) for row in spec.get("initContainers") or [])])


def _limit(container: dict[str, Any]) -> int:
    return _count(container.get("resources", {}).get("limits", {}))


def _count(quantities: dict[str, str]) -> int:
    return int(quantities.get(RESOURCE, 0))
