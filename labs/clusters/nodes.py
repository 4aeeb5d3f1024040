"""What a backend can do to its nodes. Faults and commands ask this interface, never which backend it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from labs import errors, record
from labs.clusters.base import Cluster
from labs.kube import Object
from labs.link_conditions import LinkConditions
from labs.steps import Progress
from labs.topology import ClusterSpec, GpuSpec, NodeSpec

Action = Literal["freeze", "freeze-control-plane", "kill-container", "shape-link", "add", "remove"]
Part = Literal["node", "control-plane"]
"""The whole node with all its pods, or only the programs of the control plane that run on it."""
DRAIN_TIMEOUT = 60.0
"""Seconds that the pods of a node may take to end when it is removed."""
CONTROL_PLANE_PROGRAMS = ("kube-apiserver", "kube-scheduler", "kube-controller-manager")


@dataclass(frozen=True)
class Node:
    """One node of a cluster, under its name in the API."""

    name: str
    control_plane: bool


@dataclass(frozen=True)
class NodeRequest:
    """A worker to be added. Without ``name`` it gets the next free name in its cluster; ``gpu`` are simulated GPUs."""

    name: str | None = None
    gpu: GpuSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Nodes(Protocol):
    """The nodes of all clusters of one backend. What ``unsupported_reason`` names must not be called."""

    def unsupported_reason(self, action: Action, cluster: str) -> str | None:
        """Why this backend cannot do ``action`` in ``cluster``; None if it can."""
        ...

    def list(self, cluster: str) -> Sequence[Node]:
        """The nodes of ``cluster``, sorted by name. Works while its control plane does not answer."""
        ...

    def freeze(self, cluster: str, node: str, part: Part = "node") -> None:
        """Stop everything on ``node``, or its control plane, without ending it: peers see silence, not a reset."""
        ...

    def thaw(self, cluster: str, node: str, part: Part = "node") -> None:
        """Undo ``freeze``; harmless if the node is not frozen. Does not wait until the node is Ready."""
        ...

    def kill_container(self, cluster: str, pod: Object, container: str) -> None:
        """Kill a running container of ``pod`` (as the API returned it) behind the kubelet's back."""
        ...

    def shape_link(self, cluster: str, conditions: LinkConditions) -> None:
        """Put ``conditions`` on the link between ``cluster`` and all others, replacing what was there; ``CLEAR`` undoes it."""
        ...

    def add(self, cluster: str, request: NodeRequest, progress: Progress, timeout: float = 120) -> str:
        """Add a worker and return its name once it takes pods; ``timeout`` in seconds.

        Raises:
            UsageError: the name is taken or invalid.
            TimedOut: it was not Ready in time; it is gone again.
        """
        ...

    def remove(self, cluster: str, node: str, progress: Progress) -> None:
        """Drain a node that ``add`` made, end it, and remove its object.

        Raises:
            NotFound, UsageError: there is no such node, or the topology declares it.
            CommandFailed: its pods did not end in time; the node stays and takes pods again.
        """
        ...


def require_supported(nodes: Nodes, action: Action, cluster: str) -> None:
    """Raise UsageError with the reason if ``nodes`` cannot do ``action`` in ``cluster``."""
    if reason := nodes.unsupported_reason(action, cluster):
        raise errors.UsageError(f"cannot {action} a node of cluster {cluster}: {reason}", fix="lab node list")


def new_name(spec: ClusterSpec, request: NodeRequest) -> str:
    """The name of a node to be added to the cluster ``spec``.

    Raises:
        UsageError: the wanted name is taken, or Kubernetes would refuse it.
    """
    taken = {node.name for cluster in record.clusters() for node in cluster.nodes}
    if request.name is None:
        numbered = (f"{spec.name}-worker{number}" for number in range(2, len(taken) + 3))
        return next(name for name in numbered if name not in taken)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", request.name):
        raise errors.UsageError(f"expected a node name of lower-case letters, digits and dashes; found {request.name!r}")
    if request.name in taken:
        raise errors.UsageError(f"a node named {request.name} exists already", fix="lab node list")
    return request.name


def require_added(spec: ClusterSpec, node: str) -> NodeSpec:
    """The node of the cluster ``spec``, if it was added while the lab ran.

    Raises:
        NotFound: there is none of that name.
        UsageError: the topology declares it.
    """
    known = {found.name: found for found in spec.nodes}
    if node not in known:
        raise errors.NotFound(f"node of cluster {spec.name}", node, list(known), fix="lab node list")
    if known[node] not in record.require().nodes.get(spec.name, ()):
        raise errors.UsageError(
            f"node {node} belongs to clusters/topology.toml: only nodes that were added can be removed", fix="lab node list"
        )
    return known[node]


def recorded(cluster: str) -> ClusterSpec:
    """The cluster as this lab has it, added nodes included.

    Raises:
        NotFound: this lab has no such cluster.
    """
    specs = {spec.name: spec for spec in record.clusters()}
    if cluster not in specs:
        raise errors.NotFound("cluster in this lab", cluster, list(specs), fix="lab status")
    return specs[cluster]


def drain(cluster: Cluster, node: str, progress: Progress) -> None:
    """Move a node's pods elsewhere: it takes no new ones, and all but those of DaemonSets end.

    Budgets for disruptions are ignored: the node is leaving in any case.

    Raises:
        CommandFailed: pods did not end in time; the node takes pods again.
    """
    progress.note(f"draining {node}")
    how = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction"]
    try:
        cluster.kubectl("drain", node, *how, f"--timeout={DRAIN_TIMEOUT:.0f}s", timeout=DRAIN_TIMEOUT + 10)
    except errors.LabError:
        with contextlib.suppress(errors.LabError):
            cluster.kubectl("uncordon", node)
        raise
