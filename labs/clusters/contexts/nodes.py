"""Nodes of clusters that the lab did not make: it looks at them and does not touch them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from labs import errors, kube
from labs.clusters.base import CONTROL_PLANE, Cluster
from labs.clusters.nodes import Action, Node, NodeRequest, Part
from labs.kube import Object
from labs.link_conditions import LinkConditions
from labs.steps import Progress

REASON = "its nodes and its network are not the lab's to change"


class ForeignNodes:
    """Lists nodes; refuses everything else, with the reason."""

    def unsupported_reason(self, action: Action, cluster: str) -> str | None:
        return REASON

    def list(self, cluster: str) -> Sequence[Node]:
        rows = [row["metadata"] for row in _nodes(cluster)]
        return sorted((Node(row["name"], CONTROL_PLANE in row.get("labels", {})) for row in rows), key=lambda node: node.name)

    def freeze(self, cluster: str, node: str, part: Part = "node") -> None:
        raise _refusal()

    def thaw(self, cluster: str, node: str, part: Part = "node") -> None:
        raise _refusal()

    def kill_container(self, cluster: str, pod: Object, container: str) -> None:
        raise _refusal()

    def shape_link(self, cluster: str, conditions: LinkConditions) -> None:
        raise _refusal()

    def add(self, cluster: str, request: NodeRequest, progress: Progress, timeout: float = 120) -> str:
        raise _refusal()

    def remove(self, cluster: str, node: str, progress: Progress) -> None:
        raise _refusal()


def _refusal() -> errors.UsageError:
    return errors.UsageError(f"the backend contexts cannot do that: {REASON}", fix="lab up --backend kind, in another checkout")


def node_rows(cluster: str) -> list[dict[str, Any]]:
    """The nodes of a cluster as rows of ``lab status``."""
    return [
        {
            "name": f"{cluster}/{row['metadata']['name']}",
            "state": "ready" if kube.ready(row) is None else "not ready",
            "pid": None,
            "restarts": 0,
            "last_exit": None,
        }
        for row in _nodes(cluster)
    ]


def _nodes(cluster: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Cluster(cluster).kubectl("get", "nodes", "--output=json"))["items"]
    return found
