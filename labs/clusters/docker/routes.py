"""Pod-to-pod routes between the clusters, for flat networking: on every node, one per node of the other clusters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labs.clusters.base import Cluster
from labs.clusters.docker.engine import docker


@dataclass(frozen=True)
class Route:
    """On the node container ``on``, packets for ``pods`` (a node's pod range) go to the node ``via``."""

    on: str
    pods: str
    via: str


def nodes(cluster: Cluster) -> list[tuple[str, str, str]]:
    """(name, address, pod range) of each node, as the API has them."""
    items = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    return [(item["metadata"]["name"], _internal_address(item), item["spec"]["podCIDR"]) for item in items]


def _internal_address(node: Mapping[str, Mapping[str, list[dict[str, str]]]]) -> str:
    addresses = node["status"]["addresses"]
    return next(row["address"] for row in addresses if row["type"] == "InternalIP")


def routes(clusters: Mapping[str, Iterable[tuple[str, str, str]]]) -> list[Route]:
    """Every route that the nodes of ``clusters`` (by name) need to reach pods of the others."""
    listed = {name: list(rows) for name, rows in clusters.items()}
    return [
        Route(on, pods, via)
        for here, own in listed.items()
        for there, others in listed.items()
        if here != there
        for on, _, _ in own
        for _, via, pods in others
    ]


def apply_routes(clusters: Mapping[str, Cluster]) -> None:
    """Set the routes on all nodes; harmless where they are. A restarted node has lost them."""
    wanted = routes({name: nodes(cluster) for name, cluster in clusters.items()})
    for node in dict.fromkeys(route.on for route in wanted):
        words = [f"ip route replace {route.pods} via {route.via}" for route in wanted if route.on == node]
        docker("exec", node, "sh", "-c", " && ".join(words))
