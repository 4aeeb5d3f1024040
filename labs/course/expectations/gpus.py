"""Notebook 02: the simulator offers every GPU, and no pod hoards any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs import topology
from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import get

if TYPE_CHECKING:
    from labs.lab import Lab

RESOURCE = "nvidia.com/gpu"


@check("02.1", "a simulator pod is ready on every GPU node", hint="run the cell of step 2 again", within=30)
def simulator_runs(lab: Lab) -> Finding:
    status = get(lab.gpu, "daemonset", "gpu-simulator", "-n", "gpu-system")["status"]
    wanted = sum(node.gpu is not None for node in topology.find(lab.gpu.name).nodes)
    ready = status.get("numberReady", 0)
    return Finding(ready == wanted, f"{ready} of {wanted} pods ready")


@check(
    "02.2", "every GPU node offers all of its GPUs", hint="kubectl --context gpu -n gpu-system logs ds/gpu-simulator", within=30
)
def gpus_are_offered(lab: Lab) -> Finding:
    nodes = {node["metadata"]["name"]: node for node in get(lab.gpu, "nodes")["items"]}
    wanted = {node.name: node.gpu.count for node in topology.find(lab.gpu.name).nodes if node.gpu}
    found = {name: int(nodes[name]["status"].get("allocatable", {}).get(RESOURCE, 0)) for name in wanted if name in nodes}
    return Finding(found == wanted, ", ".join(f"{name} {count}" for name, count in found.items()))


@check("02.3", "no pod waits for a GPU", hint="kubectl --context gpu delete deployment greedy", within=20)
def nobody_waits(lab: Lab) -> Finding:
    pods = get(lab.gpu, "pods", "-A", "--field-selector=status.phase=Pending")["items"]
    names = [pod["metadata"]["name"] for pod in pods if _asks_for_gpu(pod)]
    return Finding(not names, f"Pending: {', '.join(names)}" if names else "none is Pending")


def _asks_for_gpu(pod: dict[str, Any]) -> bool:
    return any(RESOURCE in c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"])
