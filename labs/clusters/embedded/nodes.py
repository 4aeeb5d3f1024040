"""Nodes of the embedded backend: each is a process of this machine with its pods below it."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence

import psutil

from labs import link_conditions, record
from labs.clusters.base import Cluster
from labs.clusters.nodes import (
    CONTROL_PLANE_PROGRAMS,
    Action,
    Node,
    NodeRequest,
    Part,
    drain,
    new_name,
    recorded,
    require_added,
)
from labs.embedded import cluster_changes, control
from labs.kube import Object
from labs.link_conditions import LinkConditions
from labs.steps import Progress
from labs.topology import NodeSpec


class EmbeddedNodes:
    """Freezes with SIGSTOP, kills with SIGKILL; the load balancer at a cluster's edge shapes the link into it."""

    def unsupported_reason(self, action: Action, cluster: str) -> str | None:
        return None

    def list(self, cluster: str) -> Sequence[Node]:
        rows = [node for spec in record.clusters() if spec.name == cluster for node in spec.nodes]
        return sorted((Node(node.name, node.control_plane) for node in rows), key=lambda node: node.name)

    def freeze(self, cluster: str, node: str, part: Part = "node") -> None:
        _signal(_processes(cluster, node, part), signal.SIGSTOP)

    def thaw(self, cluster: str, node: str, part: Part = "node") -> None:
        _signal(_processes(cluster, node, part), signal.SIGCONT)

    def kill_container(self, cluster: str, pod: Object, container: str) -> None:
        for process in processes_with_root(f"/pods/{pod['metadata']['uid']}/containers/{container}/root"):
            process.kill()

    def shape_link(self, cluster: str, conditions: LinkConditions) -> None:
        # The edge of the cluster looks at the file; flat networking does not pass there and is spared.
        link_conditions.write(cluster, conditions)

    def add(self, cluster: str, request: NodeRequest, progress: Progress, timeout: float = 120) -> str:
        spec = recorded(cluster)
        name = new_name(spec, request)
        control.require()
        node = NodeSpec(name, cluster_changes.free_index(spec), gpu=request.gpu, labels=dict(request.labels))
        cluster_changes.add_node(cluster, node, timeout, progress)
        return name

    def remove(self, cluster: str, node: str, progress: Progress) -> None:
        require_added(recorded(cluster), node)
        control.require()
        drain(Cluster(cluster), node, progress)
        cluster_changes.forget_node(cluster, node)


def _processes(cluster: str, node: str, part: Part) -> list[psutil.Process]:
    """The supervisor's children that make up ``part``, each followed by everything below it."""
    names = [node] if part == "node" else CONTROL_PLANE_PROGRAMS
    wanted = {f"{cluster}/{name}" for name in names}
    found = []
    for row in control.status()["children"]:
        if row["name"] in wanted and row["pid"]:
            process = psutil.Process(row["pid"])
            found += [process, *process.children(recursive=True)]
    return found


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:  # it ended by itself meanwhile
            continue


def processes_with_root(root: str) -> list[psutil.Process]:
    """Processes of the container whose root folder has a path that ends with ``root``: each has the folder as a variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CONTAINER_ROOT", "").endswith(root):
                found.append(process)
        except psutil.Error:  # another user's, or gone
            continue
    return found
