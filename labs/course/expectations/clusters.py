"""Notebook 01: two clusters with ready nodes, and an application that survived a drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs import config
from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import condition, deployments_available, get

if TYPE_CHECKING:
    from labs.lab import Lab


@check("01.1", "every node of both clusters is Ready", hint="lab status, then lab up", within=30)
def nodes_are_ready(lab: Lab) -> Finding:
    missing = []
    for spec in config.topology():
        nodes = {node["metadata"]["name"]: node for node in get(lab.clusters[spec.name], "nodes")["items"]}
        missing += [node.name for node in spec.nodes if not condition(nodes.get(node.name, {}), "Ready")]
    return Finding(not missing, f"not Ready: {', '.join(missing)}" if missing else "all Ready")


@check("01.2", "the Deployment hello runs in the app cluster", hint="run the cell of step 3 again", within=30)
def hello_runs(lab: Lab) -> Finding:
    return deployments_available(lab.app, "default", "hello")


@check("01.3", "app-worker takes pods again", hint="kubectl --context app uncordon app-worker")
def worker_is_schedulable(lab: Lab) -> Finding:
    cordoned = get(lab.app, "node", "app-worker")["spec"].get("unschedulable", False)
    return Finding(not cordoned, "app-worker is cordoned" if cordoned else "app-worker is schedulable")
