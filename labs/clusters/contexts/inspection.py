"""What a cluster is before the lab changes it: read only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labs import errors, kube

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
GPU = "nvidia.com/gpu"
PRESENT = "nvidia.com/gpu.present"
NVIDIA_DEVICE = "feature.node.kubernetes.io/pci-10de.present"
"""Node Feature Discovery's label of a node with a PCI device of NVIDIA's."""
ANSWER_WITHIN = 5.0
"""Seconds one try to reach an API server may take."""


@dataclass(frozen=True)
class Node:
    """What the lab asks of a node. ``gpus``: how many are allocatable now."""

    name: str
    labels: dict[str, str]
    gpus: int
    usable: bool
    """Ready, and takes pods that tolerate a GPU's taint."""


@dataclass(frozen=True)
class Facts:
    """One cluster: ``name`` is the lab's, ``context`` the user's; ``uid`` tells clusters apart, whatever their URLs."""

    name: str
    context: str
    server: str
    uid: str
    namespaces: frozenset[str]
    nodes: tuple[Node, ...]
    pod_networks: tuple[Network, ...]
    service_networks: tuple[Network, ...]

    @property
    def gpus(self) -> int:
        return sum(node.gpus for node in self.nodes)


def look(name: str, context: str, api: kube.ApiClient) -> Facts:
    """Read what the plan needs to know.

    Raises:
        UsageError: the cluster cannot be reached, or may not be read; nothing was changed.
    """
    try:
        system = kube.call(api, "GET", "/api/v1/namespaces/kube-system", timeout=ANSWER_WITHIN)
        nodes = _items(api, "/api/v1/nodes")
        pods = _items(api, "/api/v1/pods")
        return Facts(
            name=name,
            context=context,
            server=api.configuration.host,
            uid=system["metadata"]["uid"],
            namespaces=frozenset(row["metadata"]["name"] for row in _items(api, "/api/v1/namespaces")),
            nodes=tuple(sorted((_node(row) for row in nodes), key=lambda node: node.name)),
            pod_networks=pod_networks(nodes, pods),
            service_networks=_service_networks(api),
        )
    except errors.CommandFailed as error:
        raise errors.UsageError(
            f"context {context} cannot be inspected: {error.output.strip()} (HTTP {error.returncode})",
            fix=f"kubectl --context {context} auth can-i --list",
        ) from error
    except errors.LabError as error:
        raise errors.UsageError(
            f"context {context} cannot be reached: {error.message}", fix=f"kubectl --context {context} get nodes"
        ) from error


def _items(api: kube.ApiClient, path: str) -> list[dict[str, Any]]:
    return list(kube.call(api, "GET", path)["items"])


def _node(row: dict[str, Any]) -> Node:
    labels = row["metadata"].get("labels", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in row["status"].get("conditions", []))
    taints = [taint for taint in row["spec"].get("taints", []) if taint["effect"] != "PreferNoSchedule" and taint["key"] != GPU]
    gpus = int(row["status"].get("allocatable", {}).get(GPU, 0))
    return Node(row["metadata"]["name"], labels, gpus, ready and not taints and not row["spec"].get("unschedulable", False))


def pod_networks(nodes: Iterable[dict[str, Any]], pods: Iterable[dict[str, Any]]) -> tuple[Network, ...]:
    """The nodes' pod ranges, and the addresses of pods outside of them: some clouds give pods addresses of the nodes' network."""
    ranges = {
        ipaddress.ip_network(text)
        for node in nodes
        for text in node["spec"].get("podCIDRs") or filter(None, [node["spec"].get("podCIDR")])
    }
    addresses = {
        ipaddress.ip_network(row["ip"])
        for pod in pods
        if not pod["spec"].get("hostNetwork")
        for row in pod.get("status", {}).get("podIPs", [])
    }
    outside = {address for address in addresses if not any(address.overlaps(known) for known in ranges)}
    return tuple(sorted(ranges | outside, key=lambda network: (network.version, network)))


def _service_networks(api: kube.ApiClient) -> tuple[Network, ...]:
    """What the API calls ServiceCIDRs (Kubernetes 1.33 and newer), else the addresses of the Services there are."""
    try:
        ranges = [text for row in _items(api, "/apis/networking.k8s.io/v1/servicecidrs") for text in row["spec"]["cidrs"]]
    except errors.CommandFailed as error:
        if error.returncode not in (403, 404):
            raise
        services = _items(api, "/api/v1/services")
        ranges = [address for row in services for address in row["spec"].get("clusterIPs", []) if address != "None"]
    return tuple(ipaddress.ip_network(text) for text in ranges)
