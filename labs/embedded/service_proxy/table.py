"""Services and EndpointSlices as the proxy needs them: the endpoints behind each name and port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labs.embedded import plan

Object = dict[str, Any]
Key = tuple[str, str]
"""(namespace, name)"""
OWNER_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class ServicePort:
    """One port of one Service with its ready endpoints, each (address to dial, port)."""

    namespace: str
    service: str
    cluster_ip: str | None
    """None for a headless Service."""
    port: int
    endpoints: tuple[tuple[str, int], ...]
    load_balancer: bool = False
    """Reached from outside the cluster: its listener is at the edge."""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """The names and addresses a client may use for the Service, without a port."""
        name = f"{self.service}.{self.namespace}"
        hosts = [f"{name}.svc.cluster.local", f"{name}.svc", name]
        if self.cluster_ip:
            hosts += sorted({self.cluster_ip, plan.network().dial(self.cluster_ip)})
        return hosts


class ServiceTable:
    """The current Services and EndpointSlices of one cluster."""

    def __init__(self) -> None:
        self._services: dict[Key, Object] = {}
        self._slices: dict[Key, Object] = {}

    def note_service(self, event: str, item: Object) -> None:
        _note(self._services, event, item)

    def note_slice(self, event: str, item: Object) -> None:
        _note(self._slices, event, item)

    def ports(self) -> list[ServicePort]:
        """Every TCP port of every Service, sorted."""
        slices: dict[Key, list[Object]] = {}
        for (namespace, _), item in self._slices.items():
            owner = item["metadata"].get("labels", {}).get(OWNER_LABEL, "")
            slices.setdefault((namespace, owner), []).append(item)
        found = [
            ServicePort(
                namespace,
                name,
                _cluster_ip(service),
                port["port"],
                _endpoints(slices.get((namespace, name), []), port),
                service["spec"].get("type") == "LoadBalancer",
            )
            for (namespace, name), service in self._services.items()
            for port in service["spec"].get("ports", [])
            if port.get("protocol", "TCP") == "TCP" and service["spec"].get("type") != "ExternalName"
        ]
        return sorted(found, key=lambda row: row.id)


def _note(known: dict[Key, Object], event: str, item: Object) -> None:
    key = (item["metadata"]["namespace"], item["metadata"]["name"])
    if event == "DELETED":
        known.pop(key, None)
    else:
        known[key] = item


def _cluster_ip(service: Object) -> str | None:
    address = service["spec"].get("clusterIP")
    return None if address in (None, "", "None") else address


def _endpoints(slices: list[Object], port: Object) -> tuple[tuple[str, int], ...]:
    """Ready endpoints behind Service port ``port``: a slice names its ports as the Service does."""
    found = {
        (plan.network().dial(address), number["port"])
        for item in slices
        if item.get("addressType") == "IPv4"
        for number in item.get("ports") or []
        if (number.get("name") or "") == (port.get("name") or "") and number.get("port")
        for endpoint in item.get("endpoints") or []
        # By the API, no condition means ready.
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"]
    }
    return tuple(sorted(found))
