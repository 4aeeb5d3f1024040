"""Notebook 01: two clusters with ready nodes, and an application that survived a drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import condition, deployments_available, get

if TYPE_CHECKING:
    from labs.lab import Lab


@check("01.1", "every node of both clusters is Ready", hint="lab status, then lab up", within=30)
def nodes_are_ready(lab: Lab) -> Finding:
    nodes = [node for cluster in lab.clusters.values() for node in get(cluster, "nodes")["items"]]
    missing = [node["metadata"]["name"] for node in nodes if not condition(node, "Ready")]
    return Finding(not missing, f"not Ready: {', '.join(missing)}" if missing else "all Ready")


@check("01.2", "the Deployment hello runs in the app cluster", hint="run the cell of step 3 again", within=30)
def hello_runs(lab: Lab) -> Finding:
    return deployments_available(lab.app, "default", "hello")


@check("01.3", "every node of the app cluster takes pods again", hint="kubectl --context app uncordon NODE")
def nodes_take_pods(lab: Lab) -> Finding:
    cordoned = [node["metadata"]["name"] for node in get(lab.app, "nodes")["items"] if node["spec"].get("unschedulable")]
    return Finding(not cordoned, f"cordoned: {', '.join(cordoned)}" if cordoned else "none is cordoned")
