"""What the control plane writes back into an HTTPRoute's status: whether its parents and backends exist."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Set
from typing import Any

from labs.pods.mesh_standin.inbound_policy import POLICY
from labs.pods.mesh_standin.outbound_policy import PortKey, parents_of
from labs.wire.kube_api import ApiError, KubeApi

log = logging.getLogger(__name__)

Object = dict[str, Any]
CONTROLLER = "linkerd.io/policy-controller"
RESOURCES = {
    "gateway.networking.k8s.io": "gateway.networking.k8s.io/v1/httproutes",
    POLICY: "policy.linkerd.io/v1beta3/httproutes",
}


def parents(route: Object, servers: Set[tuple[str, str]], ports: Set[PortKey]) -> list[Object]:
    """The ``status.parents`` entries that are ours, without times; ``servers``: (namespace, name) of all Servers."""
    found = []
    for parent in parents_of(route, "Server"):
        accepted = (parent["namespace"], parent["name"]) in servers
        found.append(_entry({"group": POLICY, "kind": "Server"} | parent, [_accepted(accepted)]))
    for parent in parents_of(route, "Service"):
        accepted = any(
            (parent["namespace"], parent["name"], parent.get("port", port)) == (namespace, name, port)
            for namespace, name, port in ports
        )
        conditions = [_accepted(accepted), _resolved(route, ports)]
        found.append(_entry(parent | {"group": parent.get("group") or "core"}, conditions))
    return found


def _entry(parent: Object, conditions: list[Object]) -> Object:
    kept = {key: parent[key] for key in ("group", "kind", "name", "namespace", "port", "sectionName") if key in parent}
    return {"conditions": conditions, "controllerName": CONTROLLER, "parentRef": kept}


def _accepted(exists: bool) -> Object:
    return _condition("Accepted", exists, "Accepted" if exists else "NoMatchingParent")


def _resolved(route: Object, ports: Set[PortKey]) -> Object:
    namespace = route["metadata"]["namespace"]
    refs = [ref for rule in route["spec"].get("rules") or () for ref in rule.get("backendRefs") or ()]
    exist = all((ref.get("namespace", namespace), ref["name"], ref.get("port", 0)) in ports for ref in refs)
    return _condition("ResolvedRefs", exist, "ResolvedRefs" if exist else "BackendNotFound")


def _condition(kind: str, is_true: bool, reason: str) -> Object:
    return {"type": kind, "status": str(is_true), "reason": reason, "message": ""}


def changed_status(route: Object, wanted: list[Object]) -> Object | None:
    """The whole new status, other controllers' entries kept; None when it says the same already."""
    entries = (route.get("status") or {}).get("parents") or []
    ours = [entry for entry in entries if entry.get("controllerName") == CONTROLLER]
    if [_without_times(entry) for entry in ours] == wanted:
        return None
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    stamped = [
        {**entry, "conditions": [{"lastTransitionTime": now, **condition} for condition in entry["conditions"]]}
        for entry in wanted
    ]
    return {"parents": [entry for entry in entries if entry.get("controllerName") != CONTROLLER] + stamped}


def _without_times(entry: Object) -> Object:
    dropped = ("lastTransitionTime", "observedGeneration")
    conditions = [{k: v for k, v in condition.items() if k not in dropped} for condition in entry["conditions"]]
    return {**entry, "conditions": conditions}


async def write(api: KubeApi, routes: Iterable[Object], servers: Set[tuple[str, str]], ports: Set[PortKey]) -> None:
    """Bring the status of every route up to date."""
    for route in routes:
        meta = route["metadata"]
        if (status := changed_status(route, parents(route, servers, ports))) is None:
            continue
        resource = RESOURCES[route["apiVersion"].partition("/")[0]]
        try:
            await api.patch(resource, meta["namespace"], meta["name"], {"status": status}, sub="status")
        except ApiError as error:  # the route may be gone by now
            log.warning("could not write the status of HTTPRoute %s/%s: %s", meta["namespace"], meta["name"], error)
