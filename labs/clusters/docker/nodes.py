"""Nodes that are containers of a Docker engine: paused, entered, cut off from each other, added and removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from labs import record
from labs.clusters.base import Cluster
from labs.clusters.docker import joining, links
from labs.clusters.docker.engine import docker
from labs.clusters.docker.node_containers import NodeContainer
from labs.clusters.docker.runner import ToolRunner
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
from labs.kube import Object
from labs.link_conditions import LinkConditions
from labs.steps import Progress
from labs.topology import NodeSpec

KERNEL_NAME_LENGTH = 15
"""The kernel keeps this many characters of a program's name, and pkill(1) compares with those."""
ADD_GRACE = 30.0
"""Seconds beside the wait for the node in which a tool makes its container."""
PROGRAMS = "|".join(name[:KERNEL_NAME_LENGTH] for name in CONTROL_PLANE_PROGRAMS)


class DockerNodes:
    """``containers`` returns the node containers by cluster; ``settle`` gives a new node images, routes and link conditions."""

    def __init__(
        self,
        runner: ToolRunner,
        containers: Callable[[], Mapping[str, Sequence[NodeContainer]]],
        settle: Callable[[Progress], None],
    ) -> None:
        self._runner = runner
        self._tool = runner.tool
        self._containers = containers
        self._settle = settle

    def unsupported_reason(self, action: Action, cluster: str) -> str | None:
        return self._tool.unsupported.get(action)

    def list(self, cluster: str) -> Sequence[Node]:
        rows = self._containers().get(cluster, [])
        return sorted((Node(row.name, row.role == self._tool.control_plane) for row in rows), key=lambda node: node.name)

    def freeze(self, cluster: str, node: str, part: Part = "node") -> None:
        if part == "node":
            docker("container", "pause", node)
        else:
            docker("exec", node, "pkill", "-STOP", "-x", PROGRAMS)

    def thaw(self, cluster: str, node: str, part: Part = "node") -> None:
        if part == "control-plane":
            docker("exec", node, "pkill", "-CONT", "-x", PROGRAMS)
        elif any(row.name == node and row.state == "paused" for row in self._containers().get(cluster, [])):
            docker("container", "unpause", node)
            # While it was paused nobody could reach its interface.
            if "shape-link" not in self._tool.unsupported:
                links.apply(self._containers())

    def kill_container(self, cluster: str, pod: Object, container: str) -> None:
        status = pod["status"]
        rows = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        ids = [row["containerID"].rpartition("/")[2] for row in rows if row["name"] == container]
        docker("exec", pod["spec"]["nodeName"], "crictl", "stop", "--timeout", "0", *ids)

    def shape_link(self, cluster: str, conditions: LinkConditions) -> None:
        links.shape(self._containers(), cluster, conditions)

    def add(self, cluster: str, request: NodeRequest, progress: Progress, timeout: float = 120) -> str:
        spec = recorded(cluster)
        wanted = new_name(spec, request)
        name = self._tool.node_name.format(node=wanted)
        index = 1 + max(node.index for node in spec.nodes)
        node = NodeSpec(name, index, gpu=request.gpu, labels=dict(request.labels))
        record.write(record.require().with_node(cluster, node))
        try:
            progress.note(f"making {name}")
            if self._tool.add_node:
                self._runner.run(self._tool.add_node, node=wanted, cluster=cluster, timeout=timeout, seconds=timeout + ADD_GRACE)
            else:
                joining.join(self._tool, self._containers()[cluster], node, timeout)
            joining.mark(Cluster(cluster), node, timeout)
            self._settle(progress)
        except BaseException:
            self._forget(cluster, name)
            raise
        return name

    def remove(self, cluster: str, node: str, progress: Progress) -> None:
        require_added(recorded(cluster), node)
        drain(Cluster(cluster), node, progress)
        self._forget(cluster, node)

    def _forget(self, cluster: str, node: str) -> None:
        """Remove the container of a node, its object, and it from the record; harmless if it never came to be."""
        if any(row.name == node for row in self._containers().get(cluster, [])):
            docker("container", "rm", "--force", "--volumes", node)
        Cluster(cluster).kubectl("delete", "node", node, "--ignore-not-found")
        record.write(record.require().without_node(cluster, node))
