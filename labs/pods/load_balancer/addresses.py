"""Which node's address a Service of type LoadBalancer gets.

kube-proxy answers for that address and the Service's ports on every node, so a node's own address is reachable for anyone who
reaches the node: on kind, the pods of the other cluster on the same Docker network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = dict[str, Any]


def node_address(node: Object) -> str | None:
    """The internal address of a Ready node, else None."""
    status = node.get("status", {})
    ready = any(row["type"] == "Ready" and row["status"] == "True" for row in status.get("conditions", []))
    internal = [row["address"] for row in status.get("addresses", []) if row["type"] == "InternalIP"]
    return internal[0] if ready and internal else None


def assign(services: Iterable[Object], addresses: Sequence[str]) -> Mapping[str, str | None]:
    """The address of each Service that needs one, by uid; None where all are taken.

    A Service keeps its address as long as ``addresses`` has it; two with a port in common never share one.
    """
    chosen: dict[str, str | None] = {}
    taken: set[tuple[str, int, str]] = set()
    for service in sorted((s for s in services if wants_address(s)), key=_holders_and_elders_first):
        candidates = [current(service), *addresses]
        ports = [(port["port"], port.get("protocol", "TCP")) for port in service["spec"].get("ports", [])]
        free = (a for a in candidates if a in addresses and not any((a, *port) in taken for port in ports))
        address = next(free, None)
        chosen[service["metadata"]["uid"]] = address
        if address is not None:
            taken |= {(address, *port) for port in ports}
    return chosen


def wants_address(service: Object) -> bool:
    """Whether it is of type LoadBalancer and names no other implementation."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def current(service: Object) -> str | None:
    """The address in the Service's status; None if it has none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return ingress[0].get("ip") if ingress else None


def _holders_and_elders_first(service: Object) -> tuple[bool, str, str]:
    metadata = service["metadata"]
    return current(service) is None, metadata.get("creationTimestamp", ""), metadata["uid"]
