"""Derives from Services, EndpointSlices and pods what a proxy may call, with each endpoint's identity and metric labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labs.pods.mesh_standin import federation, outbound_policy
from labs.pods.mesh_standin.opaque_ports import is_opaque
from labs.pods.mesh_standin.proxy_config import Endpoint, ServicePort, authority
from labs.pods.mesh_standin.remote_clusters import RemoteCluster
from labs.wire import linkerd
from labs.wire.linkerd import identity_of

Object = dict[str, Any]
OWNER_LABELS = ("deployment", "daemonset", "statefulset", "job", "replicaset")


def service_ports(
    services: Iterable[Object],
    slices: Iterable[Object],
    pods: Iterable[Object],
    routes: Sequence[Object] = (),
    remotes: Mapping[str, RemoteCluster] = MappingProxyType({}),
) -> list[ServicePort]:
    """Every TCP port of every Service, in a stable order; ``routes``: the HTTPRoutes of both groups."""
    clusters: dict[str | None, ClusterIndex] = {None: ClusterIndex.of(slices, pods)}
    clusters |= {name: ClusterIndex.of(remote.slices, remote.pods) for name, remote in remotes.items()}
    found = [
        _service_port(service, port, clusters)
        for service in services
        for port in service["spec"].get("ports", ())
        if port.get("protocol", "TCP") == "TCP"
    ]
    ports = {(port["namespace"], port["name"], port["port"]) for port in found}
    for port in found:
        key = (port["namespace"], port["name"], port["port"])
        if attached := outbound_policy.routes_of_port(key, port.get("policy", {}), routes, ports):
            port["routes"] = attached
    return sorted(found, key=lambda item: (item["namespace"], item["name"], item["port"]))


@dataclass(frozen=True)
class ClusterIndex:
    """One cluster's EndpointSlices by (namespace, Service) and pods by address."""

    slices: Mapping[tuple[str, str], list[Object]]
    pods: Mapping[str, Object]

    @classmethod
    def of(cls, slices: Iterable[Object], pods: Iterable[Object]) -> ClusterIndex:
        by_service: dict[tuple[str, str], list[Object]] = {}
        for item in slices:
            name = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
            if name and item.get("addressType") == "IPv4":
                by_service.setdefault((item["metadata"]["namespace"], name), []).append(item)
        return cls(by_service, {pod["status"]["podIP"]: pod for pod in pods if pod.get("status", {}).get("podIP")})

    def endpoints(self, namespace: str, service: str, port_name: str | None) -> Iterator[Endpoint]:
        for item in self.slices.get((namespace, service), ()):
            yield from _endpoints(item, port_name, self.pods)


def _service_port(service: Object, port: Object, clusters: Mapping[str | None, ClusterIndex]) -> ServicePort:
    meta = service["metadata"]
    sources = federation.discovery(service)
    mirrored = (meta.get("labels") or {}).get(linkerd.MIRRORED_SERVICE) == "true" and not sources
    remote = (meta.get("annotations") or {}).get(linkerd.REMOTE_FULL_NAME) if mirrored else None
    endpoints = [
        _labelled(endpoint, service, name, remote)
        for cluster, name in sources or [(None, meta["name"])]
        if cluster in clusters  # a cluster whose credentials are gone has no endpoints
        for endpoint in clusters[cluster].endpoints(meta["namespace"], name, port.get("name"))
    ]
    found: ServicePort = {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "port": port["port"],
        "cluster_ip": service["spec"].get("clusterIP", "None"),
        "remote_authority": authority(remote, port["port"]) if remote else None,
        "endpoints": sorted(endpoints, key=lambda item: (item["address"], item["port"])),
    }
    if policy := outbound_policy.route_policy(service):
        found["policy"] = policy
    if accrual := outbound_policy.failure_accrual(service):
        found["accrual"] = accrual
    if is_opaque(service, port["port"], port.get("name")):
        found["opaque"] = True
    return found


def _endpoints(item: Object, port_name: str | None, pods: Mapping[str, Object]) -> Iterator[Endpoint]:
    gateway = (item["metadata"].get("annotations") or {}).get(linkerd.REMOTE_GATEWAY_IDENTITY)
    ports = [port["port"] for port in item.get("ports") or () if (port.get("name") or None) == (port_name or None)]
    for entry in item.get("endpoints") or ():
        if (entry.get("conditions") or {}).get("ready") is False:
            continue
        for address in entry["addresses"]:
            pod = pods.get(address)
            for port in ports:
                labels = pod_labels(pod) if pod and not gateway else {}
                yield {"address": address, "port": port, "identity": gateway or pod_identity(pod), "labels": labels}


def pod_identity(pod: Object | None) -> str | None:
    """The identity a meshed pod's proxy presents; None for a pod outside the mesh."""
    if not pod or linkerd.CONTROL_PLANE_NS not in (pod["metadata"].get("labels") or {}):
        return None
    return identity_of(pod["spec"].get("serviceAccountName", "default"), pod["metadata"]["namespace"])


def pod_labels(pod: Object) -> dict[str, str]:
    """A pod as the target in outbound metrics: the ``dst_*`` labels of recordings/linkerd file 11."""
    labels = pod["metadata"].get("labels") or {}
    found = {
        "dst_control_plane_ns": labels.get(linkerd.CONTROL_PLANE_NS, ""),
        **{f"dst_{kind}": labels.get(linkerd.PROXY_OWNER_PREFIX + kind, "") for kind in OWNER_LABELS},
        "dst_namespace": pod["metadata"]["namespace"],
        "dst_pod": pod["metadata"]["name"],
        "dst_pod_template_hash": labels.get("pod-template-hash", ""),
        "dst_serviceaccount": pod["spec"].get("serviceAccountName", "default"),
    }
    return {name: value for name, value in found.items() if value} | {"dst_zone": ""}


def _labelled(endpoint: Endpoint, service: Object, name: str, remote: str | None) -> Endpoint:
    """``name``: the endpoint's Service in its own cluster."""
    meta = service["metadata"]
    labels = {"dst_namespace": meta["namespace"]} | endpoint["labels"] | {"dst_service": name}
    if remote:
        target, namespace, *_ = remote.split(".")
        labels |= {
            "dst_target_cluster": meta["labels"].get(linkerd.MIRROR_CLUSTER, ""),
            "dst_target_service": target,
            "dst_target_service_namespace": namespace,
        }
    return {**endpoint, "labels": labels | {"dst_zone_locality": "unknown"}}
