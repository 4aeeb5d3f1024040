"""Flat and federated services: mirrors whose endpoints the proxies look up in the clusters themselves, without a gateway."""

from __future__ import annotations

from labs.pods.mesh_standin.mirror_objects import port_of, service
from labs.wire import linkerd
from labs.wire.kube_api import Object


def flat_service(remote: Object, cluster: str, cluster_domain: str) -> Object:
    """The mirror of a Service exported with ``remote-discovery``: no Endpoints, but where to look for them."""
    mirror = service(remote, cluster, cluster_domain)
    mirror["metadata"]["labels"] |= {linkerd.REMOTE_DISCOVERY: cluster, linkerd.REMOTE_SERVICE: remote["metadata"]["name"]}
    return mirror


def federated_name(name: str) -> str:
    return f"{name}-federated"


def federated_service(member: Object, local: str | None, remotes: list[str]) -> Object:
    """The Service for all members of one name; ``remotes`` are ``NAME@CLUSTER``, ``member`` gives ports and labels."""
    meta = member["metadata"]
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != linkerd.FEDERATED}
    annotations = dict(meta.get("annotations") or {})
    if remotes:
        annotations[linkerd.REMOTE_DISCOVERY] = ",".join(sorted(remotes))
    if local:
        annotations[linkerd.LOCAL_DISCOVERY] = local
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": federated_name(meta["name"]),
            "namespace": meta["namespace"],
            "labels": labels | {linkerd.MIRRORED_SERVICE: "true"},
            "annotations": annotations,
        },
        "spec": {"ports": [port_of(row) for row in member["spec"].get("ports") or []]},
    }


def remote_members(federated: Object | None) -> list[str]:
    """``NAME@CLUSTER`` of a federated Service as it is now."""
    annotations = (federated or {}).get("metadata", {}).get("annotations") or {}
    return [part for part in annotations.get(linkerd.REMOTE_DISCOVERY, "").split(",") if part]


def discovery(found: Object) -> list[tuple[str | None, str]]:
    """Where the endpoints of a flat or federated Service are: (cluster, Service) pairs, cluster None for this one."""
    labels, annotations = found["metadata"].get("labels") or {}, found["metadata"].get("annotations") or {}
    if cluster := labels.get(linkerd.REMOTE_DISCOVERY):
        return [(cluster, labels.get(linkerd.REMOTE_SERVICE, ""))]
    local = annotations.get(linkerd.LOCAL_DISCOVERY)
    pairs: list[tuple[str | None, str]] = [(None, local)] if local else []
    for member in remote_members(found):
        name, _, cluster = member.partition("@")
        pairs.append((cluster, name))
    return pairs
