"""Which address each node container had: a link between the clusters names some, and Docker assigns new ones at every start."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path

from labs.clusters.docker.node_containers import NodeContainer
from labs.paths import Paths


def recorded() -> dict[str, str]:
    """Node container → its address when the lab last came up; empty before that."""
    path = _path()
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def record(nodes: Iterable[NodeContainer]) -> set[str]:
    """Write down where the nodes are now; the names of those that were elsewhere before."""
    former = recorded()
    now = {node.name: node.address for node in nodes if node.address}
    _path().write_text(json.dumps(now, indent=2) + "\n")
    return {name for name, address in now.items() if former.get(name, address) != address}


def _path() -> Path:
    return Paths.current().state / "addresses.json"


def in_order(nodes: Iterable[NodeContainer]) -> list[NodeContainer]:
    """Nodes in the order in which to start them: Docker gives the lowest free address, so each gets the one it had.

    Without a record control planes come first.
    """
    former = recorded()

    def place(node: NodeContainer) -> tuple[int, bool, str]:
        known = former.get(node.name)
        return int(ipaddress.IPv4Address(known)) if known else 0, node.role != "control-plane", node.name

    return sorted(nodes, key=place)
