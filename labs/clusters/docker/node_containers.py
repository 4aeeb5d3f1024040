"""The containers that are nodes: which there are, whose they are, and which may run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labs import config
from labs.clusters.docker import engine
from labs.clusters.docker.engine import NETWORK, docker
from labs.clusters.docker.tool import ClusterTool


@dataclass(frozen=True)
class NodeContainer:
    """A container that is a node of a cluster. ``address`` is on the lab's network; None if it is not on it or does not run."""

    name: str
    cluster: str
    role: str
    state: str
    exit_code: int
    restarts: int
    networks: frozenset[str]
    address: str | None

    @property
    def runs(self) -> bool:
        return self.state == "running"


class NodeContainers:
    """The containers of one tool's clusters."""

    def __init__(self, tool: ClusterTool) -> None:
        self._tool = tool

    def clusters(self) -> set[str]:
        """The names of all clusters of this tool on this machine, whoever made them."""
        return {node.cluster for node in self._all()}

    def foreign(self, clusters: Collection[str]) -> list[str]:
        """Those of the names ``clusters`` under which somebody else made a cluster with this tool."""
        return sorted({node.cluster for node in self._all() if node.cluster in clusters and not _is_ours(node)})

    def own(self) -> list[NodeContainer]:
        """All that are ours, helpers included; none if the network belongs to another checkout."""
        if engine.network_checkout() != str(config.ROOT):
            return []
        return [node for node in self._all() if _is_ours(node)]

    def own_nodes(self) -> dict[str, list[NodeContainer]]:
        """Our nodes by cluster."""
        own = [node for node in self.own() if node.role in self._tool.roles]
        return {name: [node for node in own if node.cluster == name] for name in sorted({node.cluster for node in own})}

    def _all(self) -> list[NodeContainer]:
        """The containers with the tool's label, by name; stopped ones too."""
        label = self._tool.cluster_label
        ids = docker("container", "ls", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").split()
        rows = json.loads(docker("container", "inspect", *ids)) if ids else []
        return sorted((_node(row, label, self._tool.role_label) for row in rows), key=lambda node: node.name)


def _is_ours(node: NodeContainer) -> bool:
    # Whose the network is was looked at before: engine.require_own_network.
    return NETWORK in node.networks


def _node(row: dict[str, Any], label: str, role_label: str) -> NodeContainer:
    labels, networks = row["Config"]["Labels"], row["NetworkSettings"]["Networks"] or {}
    return NodeContainer(
        name=row["Name"].lstrip("/"),
        cluster=labels[label],
        role=labels.get(role_label, ""),
        state=row["State"]["Status"],
        exit_code=row["State"]["ExitCode"],
        restarts=row.get("RestartCount", 0),
        networks=frozenset(networks),
        address=networks.get(NETWORK, {}).get("IPAddress") or None,
    )


def status(clusters: Mapping[str, Sequence[NodeContainer]]) -> list[dict[str, Any]]:
    """The nodes as rows of ``lab status``."""
    return [_row(node) for nodes in clusters.values() for node in nodes]


def _row(node: NodeContainer) -> dict[str, Any]:
    return {
        "name": f"{node.cluster}/{node.name}",
        "state": node.state,
        "pid": None,
        "restarts": node.restarts,
        "last_exit": None if node.runs else f"exit code {node.exit_code}",
    }
