"""What a mirrored service looks like: the API objects that a real Linkerd makes from the exported ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labs.wire import linkerd
from labs.wire.kube_api import Object


@dataclass(frozen=True)
class Gateway:
    """A link's gateway. ``addresses`` are IPs; ``identity`` is the mesh identity it must show."""

    addresses: tuple[str, ...]
    port: int
    identity: str

    @classmethod
    def of(cls, link: Object) -> Gateway:
        spec = link["spec"]
        addresses = tuple(filter(None, (part.strip() for part in spec.get("gatewayAddress", "").split(","))))
        return cls(addresses, int(spec.get("gatewayPort") or 4143), spec.get("gatewayIdentity", ""))


def matches(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector selects ``labels``; unlike elsewhere in Kubernetes an absent or empty one selects nothing."""
    selector = selector or {}
    wanted, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not wanted and not expressions:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(_holds(row, labels) for row in expressions)


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values: list[str] = expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")


def mirror_name(service: str, cluster: str) -> str:
    return f"{service}-{cluster}"


def service(remote: Object, cluster: str, cluster_domain: str) -> Object:
    """The local Service that mirrors ``remote``; without a selector, since its endpoints are the gateway."""
    meta = remote["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": mirror_name(meta["name"], cluster),
            "namespace": meta["namespace"],
            "labels": _labels(remote, cluster),
            "annotations": {
                **(meta.get("annotations") or {}),
                linkerd.REMOTE_VERSION: meta["resourceVersion"],
                linkerd.REMOTE_FULL_NAME: _full_name(remote, cluster_domain),
            },
        },
        "spec": {"ports": [port_of(row) for row in remote["spec"].get("ports") or []]},
    }


def endpoints(remote: Object, cluster: str, cluster_domain: str, gateway: Gateway, *, alive: bool, has_endpoints: bool) -> Object:
    """The Endpoints of the mirror: the gateway's addresses, not ready while it is dead, none while nothing serves behind it."""
    meta = remote["metadata"]
    addresses = [{"ip": address} for address in gateway.addresses]
    ports = [
        {"name": row.get("name", ""), "port": gateway.port, "protocol": row.get("protocol", "TCP")} for row in _ports(remote)
    ]
    subset = {"addresses" if alive else "notReadyAddresses": addresses, "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": mirror_name(meta["name"], cluster),
            "namespace": meta["namespace"],
            "labels": _labels(remote, cluster),
            "annotations": {
                linkerd.REMOTE_GATEWAY_IDENTITY: gateway.identity,
                linkerd.REMOTE_FULL_NAME: _full_name(remote, cluster_domain),
            },
        },
        "subsets": [subset] if has_endpoints and addresses and ports else [],
    }


def probe_endpoints(link: Object, namespace: str, *, alive: bool) -> Object:
    """The Endpoints of ``probe-CLUSTER``: where the gateway answers probes."""
    gateway, cluster = Gateway.of(link), link["spec"]["targetClusterName"]
    port = int(link["spec"].get("probeSpec", {}).get("port", 4191))
    addresses = [{"ip": address} for address in gateway.addresses]
    subset = {"addresses" if alive else "notReadyAddresses": addresses, "ports": [{"name": "mc-probe", "port": port}]}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": f"probe-{cluster}",
            "namespace": namespace,
            "labels": {linkerd.MIRRORED_GATEWAY: "true", linkerd.MIRROR_CLUSTER: cluster},
            "annotations": {linkerd.REMOTE_GATEWAY_IDENTITY: gateway.identity},
        },
        "subsets": [subset] if addresses else [],
    }


def has_ready_address(remote_endpoints: Object | None) -> bool:
    """Whether any address of an Endpoints object is ready."""
    return any(subset.get("addresses") for subset in (remote_endpoints or {}).get("subsets") or [])


def status_entry(remote: Object, local_name: str, time: str, problem: tuple[str, str] | None = None) -> Object:
    """A row of the Link's ``mirrorServices`` or ``federatedServices``; ``problem``: (reason, message) if there is no mirror."""
    meta = remote["metadata"]
    reason, message = problem or ("Mirrored", "")
    reference = {"group": "core", "kind": "Service", "namespace": meta["namespace"]}
    condition = {
        "type": "Mirrored",
        "status": "False" if problem else "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": time,
        "localRef": reference | {"name": local_name},
    }
    return {"controllerName": linkerd.SERVICE_MIRROR, "remoteRef": reference | {"name": meta["name"]}, "conditions": [condition]}


def _labels(remote: Object, cluster: str) -> dict[str, str]:
    own = {linkerd.MIRROR_CLUSTER: cluster, linkerd.MIRRORED_SERVICE: "true"}
    return {key: value for key, value in (remote["metadata"].get("labels") or {}).items() if key != linkerd.EXPORTED} | own


def _full_name(remote: Object, cluster_domain: str) -> str:
    return f"{remote['metadata']['name']}.{remote['metadata']['namespace']}.svc.{cluster_domain}"


def _ports(remote: Object) -> Iterable[dict[str, Any]]:
    return remote["spec"].get("ports") or []


def port_of(row: dict[str, Any]) -> dict[str, Any]:
    """A Service's port without the fields that only make sense in its own cluster."""
    return {key: row[key] for key in ("name", "port", "protocol", "targetPort") if key in row}
