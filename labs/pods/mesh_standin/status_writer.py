"""Writes the statuses that Linkerd's policy controller writes: of routes, EgressNetworks and HTTPLocalRateLimitPolicies."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from labs.pods.mesh_standin import egress, rate_limit
from labs.pods.mesh_standin.route_status import Known, parents
from labs.wire import linkerd
from labs.wire.kube_api import ApiError, KubeApi

log = logging.getLogger(__name__)

Object = dict[str, Any]
Objects = Mapping[str, Mapping[str, Object]]
"""The cluster's objects by the names of `WATCHED` in ``destination``, and by uid."""
ROUTES = {
    "httproutes": linkerd.HTTP_ROUTES,
    "linkerd-httproutes": linkerd.POLICY_HTTP_ROUTES,
    "tlsroutes": linkerd.TLS_ROUTES,
}


def changed(objects: Objects) -> Iterator[tuple[str, Object, Object]]:
    """Resource, object and new status of everything whose status is out of date."""
    http_routes = [route for name in ("httproutes", "linkerd-httproutes") for route in objects[name].values()]
    servers, networks = list(objects["servers"].values()), list(objects["egressnetworks"].values())
    known = Known.of(servers, objects["services"].values(), networks, http_routes)
    for name, resource in ROUTES.items():
        for route in objects[name].values():
            if status := route_status(route, parents(route, known, is_http=name != "tlsroutes")):
                yield resource, route, status
    for network in networks:
        if status := conditions_status(network, {"conditions": [egress.condition(network)]}):
            yield linkerd.EGRESS_NETWORKS, network, status
    policies = list(objects["httplocalratelimitpolicies"].values())
    for policy in policies:
        wanted = rate_limit.status(policy, servers, policies)
        if wanted and (status := conditions_status(policy, wanted)):
            yield linkerd.RATE_LIMIT_POLICIES, policy, status


def route_status(route: Object, wanted: list[Object]) -> Object | None:
    """The whole new status, other controllers' entries kept; None if it is already the same."""
    entries = (route.get("status") or {}).get("parents") or []
    ours = [entry for entry in entries if entry.get("controllerName") == linkerd.POLICY_CONTROLLER]
    if [_without_times(entry) for entry in ours] == wanted:
        return None
    return {
        "parents": [entry for entry in entries if entry.get("controllerName") != linkerd.POLICY_CONTROLLER]
        + list(map(_stamped, wanted))
    }


def conditions_status(item: Object, wanted: Object) -> Object | None:
    """The new status of an object with its own conditions; None if it is already the same."""
    found = item.get("status") or {}
    if found.get("conditions") and _without_times(found) == wanted:
        return None
    return _stamped(wanted)


def _stamped(entry: Object) -> Object:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**entry, "conditions": [{"lastTransitionTime": now, **condition} for condition in entry["conditions"]]}


def _without_times(entry: Object) -> Object:
    dropped = ("lastTransitionTime", "observedGeneration")
    conditions = [{k: v for k, v in condition.items() if k not in dropped} for condition in entry["conditions"]]
    return {**entry, "conditions": conditions}


async def write(api: KubeApi, objects: Objects) -> None:
    """Bring every status up to date."""
    for resource, item, status in list(changed(objects)):
        meta = item["metadata"]
        try:
            await api.patch(resource, meta["namespace"], meta["name"], {"status": status}, sub="status")
        except ApiError as error:  # it may be gone by now
            log.warning("could not write the status of %s %s/%s: %s", resource, meta["namespace"], meta["name"], error)
