"""What the control plane writes into a route's status: whether its parents and backends exist, as linkerd2's
policy-controller does (``status/src/index.rs``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from labs.pods.mesh_standin import egress
from labs.pods.mesh_standin.outbound_policy import EGRESS, kind_of, parents_of
from labs.wire import linkerd

Object = dict[str, Any]
KINDS = ("Server", "Service", egress.KIND)
Key = tuple[str, str]


class Known(NamedTuple):
    """What routes may refer to, by (namespace, name).

    ``services``: whether they have a cluster address; ``networks``: whether they are accepted EgressNetworks.
    ``taken``: kind, namespace, name and port of parents that HTTPRoutes have, so TLSRoutes cannot have them.
    """

    servers: Set[Key]
    services: Mapping[Key, bool]
    networks: Mapping[Key, bool] = {}
    taken: Set[tuple[str, str, str, int]] = frozenset()

    @classmethod
    def of(
        cls,
        servers: Iterable[Object],
        services: Iterable[Object],
        networks: Iterable[Object] = (),
        http_routes: Iterable[Object] = (),
    ) -> Known:
        addressed = {_key(item): item["spec"].get("clusterIP") not in (None, "", "None") for item in services}
        accepted = {_key(item): egress.condition(item)["status"] == "True" for item in networks}
        taken = {_parent_key(kind, parent) for route in http_routes for kind in KINDS for parent in parents_of(route, kind)}
        return cls({_key(item) for item in servers}, addressed, accepted, taken)


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _parent_key(kind: str, parent: Object) -> tuple[str, str, str, int]:
    return kind, parent["namespace"], parent["name"], parent.get("port") or 0


def parents(route: Object, known: Known, *, is_http: bool = True) -> list[Object]:
    """The ``status.parents`` entries that are ours, without times.

    The status does not say whether Linkerd can convert the route; see `http_route`.
    """
    found = []
    for kind in KINDS:
        for parent in parents_of(route, kind):
            accepted = _parent_condition(kind, parent, known)
            if not is_http and accepted["status"] == "True" and _parent_key(kind, parent) in known.taken:
                accepted = _condition("Accepted", False, "RouteReasonConflicted")
            conditions = [accepted] if kind == "Server" else [accepted, _resolved(route, (kind, *_key_of(parent)), known)]
            group = parent.get("group") or "core" if kind == "Service" else linkerd.POLICY
            found.append(_entry(parent | {"group": group, "kind": kind}, conditions))
    return found


def _parent_condition(kind: str, parent: Object, known: Known) -> Object:
    key = _key_of(parent)
    if kind == "Service" and known.services.get(key) is False:
        return _condition("Accepted", False, "NoMatchingParent", "parent service must have a ClusterIP")
    if kind == egress.KIND and known.networks.get(key) is False:
        return _condition("Accepted", False, "NoMatchingParent", "EgressNetwork parent has not been accepted")
    exists = key in {"Server": known.servers, "Service": known.services, egress.KIND: known.networks}[kind]
    return _condition("Accepted", exists, "Accepted" if exists else "NoMatchingParent")


def _key_of(parent: Object) -> Key:
    return parent["namespace"], parent["name"]


def _entry(parent: Object, conditions: list[Object]) -> Object:
    kept = {key: parent[key] for key in ("group", "kind", "name", "namespace", "port", "sectionName") if key in parent}
    return {"conditions": conditions, "controllerName": linkerd.POLICY_CONTROLLER, "parentRef": kept}


def _resolved(route: Object, parent: tuple[str, str, str], known: Known) -> Object:
    """Whether each backend exists: a Service, whose port is not looked at, or the EgressNetwork that is the parent."""
    for rule in route["spec"].get("rules") or ():
        for ref in rule.get("backendRefs") or ():
            key = ref.get("namespace") or route["metadata"]["namespace"], ref["name"]
            if problem := _backend_problem(ref, key, parent, known):
                return _condition("ResolvedRefs", False, *problem)
    return _condition("ResolvedRefs", True, "ResolvedRefs")


def _backend_problem(ref: Object, key: Key, parent: tuple[str, str, str], known: Known) -> tuple[str, str] | None:
    """The reason and the message, if there is one."""
    if kind_of(ref) not in (EGRESS, ("core", "Service")):
        return "InvalidKind", ""
    if key not in (known.networks if kind_of(ref) == EGRESS else known.services):
        return "BackendNotFound", ""
    if kind_of(ref) == EGRESS and (egress.KIND, *key) != parent:
        return "InvalidKind", "EgressNetwork backend needs to be on a route that has an EgressNetwork parent"
    return None


def _condition(kind: str, is_true: bool, reason: str, message: str = "") -> Object:
    return {"type": kind, "status": str(is_true), "reason": reason, "message": message}
