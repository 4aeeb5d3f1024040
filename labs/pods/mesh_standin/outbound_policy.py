"""How to treat calls to a Service: retries, timeouts and failure accrual by annotation, and the HTTPRoutes of a Service.

Behaviour: recordings/linkerd, files 30 to 34. An annotation that cannot be read is ignored with a warning, as Linkerd does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, TypeVar

from labs.pods.mesh_standin.accrual import parse_accrual
from labs.pods.mesh_standin.durations import parse_duration
from labs.pods.mesh_standin.http_route import Unusable, converted, filters, group_of, matches, rules_of
from labs.pods.mesh_standin.proxy_config import Accrual, Backend, OutboundRoute, Retry, RoutePolicy
from labs.wire import linkerd

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
PortKey = tuple[str, str, int]
RETRY, TIMEOUT = linkerd.RETRY_PREFIX, linkerd.TIMEOUT_PREFIX
EGRESS = (linkerd.POLICY, "EgressNetwork")
TIMEOUTS = ("request_timeout", "response_timeout", "idle_timeout")
GRPC_CONDITIONS = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
RANGES = {"5xx": range(500, 600), "gateway-error": range(502, 505)}
DEFAULT_LIMIT = 1


def route_policy(owner: Object) -> RoutePolicy:
    """Retries and timeouts a Service or an HTTPRoute asks for by annotation."""
    annotations = owner["metadata"].get("annotations") or {}
    found: RoutePolicy = {}
    if retry := _read(owner, "retry", lambda: _retry(annotations)):
        found["retry"] = retry
    for name in ("request", "response", "idle"):
        if text := annotations.get(linkerd.TIMEOUT_PREFIX + name):
            value = _read(owner, "timeouts", lambda text=text: parse_duration(text))  # type: ignore[misc]
            if value:
                found[f"{name}_timeout"] = value  # type: ignore[literal-required]
    return found


def _read(owner: Object, what: str, parse: Callable[[], T]) -> T | None:
    try:
        return parse()
    except ValueError as error:
        meta = owner["metadata"]
        log.warning("Failed to parse %s error=%s service=%r namespace=%r", what, error, meta["name"], meta["namespace"])
        return None


def _retry(annotations: Mapping[str, str]) -> Retry | None:
    http, grpc = annotations.get(linkerd.RETRY_PREFIX + "http"), annotations.get(linkerd.RETRY_PREFIX + "grpc")
    if not http and not grpc:
        return None
    timeout = annotations.get(linkerd.RETRY_PREFIX + "timeout")
    return {
        "statuses": sorted({status for part in _parts(http) for status in _statuses(part)}),
        "grpc": [_grpc_condition(part) for part in _parts(grpc)],
        "limit": int(annotations.get(linkerd.RETRY_PREFIX + "limit", DEFAULT_LIMIT)),
        "timeout": parse_duration(timeout) if timeout else None,
    }


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _statuses(text: str) -> range:
    """Of ``5xx``, ``gateway-error``, ``503`` or ``500-504``. Raises ValueError."""
    if text in RANGES:
        return RANGES[text]
    first, _, last = text.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not found or found[0] < 100 or found[-1] > 599:
        raise ValueError(f"invalid status code range {text}")
    return found


def _grpc_condition(text: str) -> str:
    if text not in GRPC_CONDITIONS:
        raise ValueError(f"invalid gRPC retry condition {text}")
    return text


def failure_accrual(service: Object) -> Accrual | None:
    """The circuit breaker a Service asks for; None without one."""
    return _read(service, "accrual", lambda: parse_accrual(service["metadata"].get("annotations") or {}))


def parents_of(route: Object, kind: str) -> Iterator[Object]:
    """The ``parentRefs`` of an HTTPRoute that are of ``kind``, each with its namespace filled in."""
    for parent in route["spec"].get("parentRefs") or ():
        if parent.get("kind", "Gateway") == kind:
            yield {"namespace": route["metadata"]["namespace"]} | parent


def routes_of_port(key: PortKey, defaults: RoutePolicy, routes: Iterable[Object], ports: Set[PortKey]) -> list[OutboundRoute]:
    """The rules of all HTTPRoutes attached to one Service port, oldest route first.

    ``defaults``: what the Service's own annotations ask for; ``ports``: all its ports.
    """
    found = []
    for route in sorted(routes, key=by_age):
        if any(_is_parent(parent, key) for parent in parents_of(route, "Service")):
            found += converted(route, lambda route=route: _rules(route, key, defaults, ports)) or []  # type: ignore[misc]
    return found


def by_age(route: Object) -> tuple[str, str, str]:
    """The order in which Linkerd prefers routes and networks that are equally good."""
    meta = route["metadata"]
    return meta.get("creationTimestamp", ""), meta["namespace"], meta["name"]


def _is_parent(parent: Object, key: PortKey) -> bool:
    return (parent["namespace"], parent["name"]) == key[:2] and parent.get("port", key[2]) == key[2]


def _rules(route: Object, key: PortKey, defaults: RoutePolicy, ports: Set[PortKey]) -> list[OutboundRoute]:
    return [outbound_rule(route, rule, key, defaults, ports) for rule in rules_of(route)]


def outbound_rule(
    route: Object,
    rule: Object,
    key: PortKey,
    defaults: RoutePolicy,
    ports: Set[PortKey],
    *,
    egress: tuple[str, str] | None = None,
) -> OutboundRoute:
    """One rule; ``key``: its parent, a Service's port, or with ``egress`` a port of the EgressNetwork of that name.

    Raises:
        Unusable: Linkerd cannot convert it.
    """
    meta = route["metadata"]
    own: Backend = {"namespace": key[0], "name": key[1], "port": key[2], "weight": 1}
    if egress:
        own["egress"] = True
    backends = [_backend(ref, meta["namespace"], ports, egress, key[2]) for ref in rule.get("backendRefs") or ()]
    found: OutboundRoute = {
        "ref": {"group": group_of(route), "namespace": meta["namespace"], "name": meta["name"]},
        "clients": meta["namespace"] if meta["namespace"] != key[0] else None,
        "matches": matches(route, rule),
        "backends": backends or [own],
        "policy": with_defaults(rule_policy(route, rule), defaults),
    }
    if of_rule := filters(rule.get("filters") or ()):
        found["filters"] = of_rule
    return found


def rule_policy(route: Object, rule: Object) -> RoutePolicy:
    """Retries and timeouts of one rule: the route's annotations, else the rule's request timeout."""
    policy = route_policy(route)
    text = (rule.get("timeouts") or {}).get("request")
    request = _read(route, "timeouts", lambda: parse_duration(text)) if text else None
    if request and "request_timeout" not in policy:
        policy["request_timeout"] = request
    return policy


def with_defaults(policy: RoutePolicy, defaults: RoutePolicy) -> RoutePolicy:
    """``policy`` with the Service's retries if it has none, and with the Service's timeouts if it has none at all."""
    found = policy.copy()
    if "retry" not in policy and "retry" in defaults:
        found["retry"] = defaults["retry"]
    if not any(name in policy for name in TIMEOUTS):
        for name in TIMEOUTS:
            if name in defaults:
                found[name] = defaults[name]  # type: ignore[literal-required]
    return found


def _backend(ref: Object, namespace: str, ports: Set[PortKey], egress: tuple[str, str] | None, port: int) -> Backend:
    name, namespace = ref["name"], ref.get("namespace") or namespace
    found: Backend = {"namespace": namespace, "name": name, "port": ref.get("port") or port, "weight": ref.get("weight", 1)}
    if kind_of(ref) == EGRESS:
        found["egress"] = True
    if error := _why_not(ref, namespace, ports, egress):
        found["error"] = error
    elif ref.get("filters"):
        try:
            found["filters"] = filters(ref["filters"])
        except Unusable as unusable:
            found["error"] = f"unsupported backend filter: {unusable}"
    return found


def kind_of(ref: Object) -> tuple[str, str]:
    """Group and kind of a ``backendRef``."""
    return ref.get("group") or "core", ref.get("kind") or "Service"


def _why_not(ref: Object, namespace: str, ports: Set[PortKey], egress: tuple[str, str] | None) -> str:
    """Why a ``backendRef`` is not a backend, in Linkerd's words; empty if it is one."""
    if kind_of(ref) == EGRESS:
        if egress is None:
            return "EgressNetwork backends attach to EgressNetwork parents only"
        is_parent = egress == (namespace, ref["name"])
        return "" if is_parent else "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent"
    if kind_of(ref) != ("core", "Service"):
        return f"unsupported backend type {' '.join(kind_of(ref))}"
    if not ref.get("port"):
        return f"missing port for backend Service {ref['name']}"
    if not any(port[:2] == (namespace, ref["name"]) for port in ports):
        return f"Service not found {ref['name']}"
    return ""
