"""The downward API: values of a pod's own fields and of its containers' resources."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING

from labs.embedded.node import quantity
from labs.embedded.node.model import ContainerRecord, Node, Object, PodRecord
from labs.embedded.node.sources import MissingSource


def field(path: str, node: Node, pod: PodRecord) -> str:
    """The value of a downward-API field.

    Raises:
        MissingSource: the kubelet knows no such field.
    """
    metadata, spec = pod.pod["metadata"], pod.pod["spec"]
    simple: dict[str, str] = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": node.name,
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": node.address,
        "status.hostIPs": node.address,
        "status.podIP": pod.ip,
        "status.podIPs": pod.ip,
    }
    if path in simple:
        return simple[path]
    for kind in ("labels", "annotations"):
        pairs: dict[str, str] = metadata.get(kind, {})
        if path == f"metadata.{kind}":
            return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(pairs.items()))
        if path.startswith(f"metadata.{kind}['") and path.endswith("']"):
            return pairs.get(path[len(f"metadata.{kind}['") : -2], "")
    raise MissingSource(f"unsupported fieldPath: {path}")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_field(reference: Object, pod: PodRecord, container: ContainerRecord, allocatable: Mapping[str, str]) -> str:
    """A container's request or limit in units of the divisor, rounded up; a missing limit is the node's whole."""
    record = pod.containers.get(reference.get("containerName", container.name), container)
    kind, _, resource = reference["resource"].partition(".")
    resources = record.spec.get("resources", {})
    value = resources.get(kind, {}).get(resource)
    if value is None:
        value = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = quantity.parse(reference.get("divisor") or "1") or quantity.parse("1")
    return str(int((quantity.parse(value) / divisor).to_integral_value(ROUND_CEILING)))
