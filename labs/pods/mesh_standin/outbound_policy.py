"""How calls to a Service are treated: retries, timeouts and failure accrual by annotation, and the HTTPRoutes of a Service.

Behaviour: linkerd-observed, files 30 to 34. An annotation that cannot be read is ignored with a warning, as Linkerd does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, TypeVar

from labs.pods.mesh_standin.durations import parse_duration
from labs.pods.mesh_standin.inbound_policy import rule_matches
from labs.pods.mesh_standin.proxy_config import Accrual, Backend, OutboundRoute, Retry, RoutePolicy

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
PortKey = tuple[str, str, int]
RETRY, TIMEOUT, ACCRUAL = "retry.linkerd.io/", "timeout.linkerd.io/", "balancer.linkerd.io/failure-accrual"
GRPC_CONDITIONS = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
RANGES = {"5xx": range(500, 600), "gateway-error": range(502, 505)}
DEFAULT_LIMIT = 1
DEFAULT_ACCRUAL: Accrual = {"max_failures": 7, "min_penalty": 1.0, "max_penalty": 60.0, "jitter": 0.5}
"""Linkerd's defaults of the consecutive-failures policy."""


def route_policy(owner: Object) -> RoutePolicy:
    """Retries and timeouts a Service or an HTTPRoute asks for by annotation."""
    annotations = owner["metadata"].get("annotations") or {}
    found: RoutePolicy = {}
    if retry := _read(owner, "retry", lambda: _retry(annotations)):
        found["retry"] = retry
    for name in ("request", "response", "idle"):
        if text := annotations.get(TIMEOUT + name):
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
    http, grpc = annotations.get(RETRY + "http"), annotations.get(RETRY + "grpc")
    if not http and not grpc:
        return None
    timeout = annotations.get(RETRY + "timeout")
    return {
        "statuses": sorted({status for part in _parts(http) for status in _statuses(part)}),
        "grpc": [_grpc_condition(part) for part in _parts(grpc)],
        "limit": int(annotations.get(RETRY + "limit", DEFAULT_LIMIT)),
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
    annotations = service["metadata"].get("annotations") or {}
    if annotations.get(ACCRUAL) != "consecutive":
        return None

    def parse() -> Accrual:
        def value(name: str, default: float) -> float:
            text = annotations.get(f"{ACCRUAL}-consecutive-{name}")
            return parse_duration(text) if text else default

        default = DEFAULT_ACCRUAL
        return {
            "max_failures": int(annotations.get(f"{ACCRUAL}-consecutive-max-failures", default["max_failures"])),
            "min_penalty": value("min-penalty", default["min_penalty"]),
            "max_penalty": value("max-penalty", default["max_penalty"]),
            "jitter": float(annotations.get(f"{ACCRUAL}-consecutive-jitter-ratio", default["jitter"])),
        }

    return _read(service, "accrual", parse)


def parents_of(route: Object, kind: str) -> Iterator[Object]:
    """The ``parentRefs`` of an HTTPRoute that are of ``kind``, each with its namespace filled in."""
    for parent in route["spec"].get("parentRefs") or ():
        if parent.get("kind", "Gateway") == kind:
            yield {"namespace": route["metadata"]["namespace"]} | parent


def routes_of_port(key: PortKey, routes: Iterable[Object], ports: Set[PortKey]) -> list[OutboundRoute]:
    """The rules of all HTTPRoutes attached to one Service port, oldest route first; ``ports``: all there are."""
    found = []
    for route in sorted(routes, key=_age):
        if any(_is_parent(parent, key) for parent in parents_of(route, "Service")):
            found += [_rule(route, rule, key, ports) for rule in route["spec"].get("rules") or [{}]]
    return found


def _age(route: Object) -> tuple[str, str, str]:
    meta = route["metadata"]
    return meta.get("creationTimestamp", ""), meta["namespace"], meta["name"]


def _is_parent(parent: Object, key: PortKey) -> bool:
    return (parent["namespace"], parent["name"]) == key[:2] and parent.get("port", key[2]) == key[2]


def _rule(route: Object, rule: Object, key: PortKey, ports: Set[PortKey]) -> OutboundRoute:
    meta = route["metadata"]
    policy = route_policy(route)
    if request := (rule.get("timeouts") or {}).get("request"):
        policy["request_timeout"] = parse_duration(request)
    own: Backend = {"namespace": key[0], "name": key[1], "port": key[2], "weight": 1, "found": True}
    backends = [_backend(ref, meta["namespace"], ports) for ref in rule.get("backendRefs") or ()]
    return {
        "ref": {"group": route["apiVersion"].partition("/")[0], "namespace": meta["namespace"], "name": meta["name"]},
        "clients": meta["namespace"] if meta["namespace"] != key[0] else None,
        "matches": list(rule_matches(rule)),
        "backends": backends or [own],
        "policy": policy,
    }


def _backend(ref: Object, namespace: str, ports: Set[PortKey]) -> Backend:
    name, port, namespace = ref["name"], ref.get("port", 0), ref.get("namespace", namespace)
    found = (namespace, name, port) in ports
    return {"namespace": namespace, "name": name, "port": port, "weight": ref.get("weight", 1), "found": found}
