"""Outbound routes of one Service: its HTTPRoutes or the default one, with retries, timeouts, splits and error texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labs.pods.mesh_standin import envoy_balancer
from labs.pods.mesh_standin.access_log import NO_ROUTE
from labs.pods.mesh_standin.durations import duration_text
from labs.pods.mesh_standin.envoy_routes import header_changes, host_rewrite, precedence, redirect, route_match
from labs.pods.mesh_standin.envoy_types import Message
from labs.pods.mesh_standin.proxy_config import (
    EVERY_PATH,
    Backend,
    Match,
    OutboundRoute,
    RouteFilters,
    RoutePolicy,
    ServicePort,
    port_key,
    service_key,
)

Services = Mapping[str, ServicePort]
RETRIED_BODY = 65536
"""Bytes of a request's body that are kept for a retry; larger ones are not retried (recordings/linkerd, experiment 4)."""
PASSTHROUGH = "passthrough"
"""The cluster for everything that is not a Service."""
EVERY_5XX = list(range(500, 600))
SAFE_RETRIES = "connect-failure,refused-stream,reset-before-request"
"""Failures before a request was sent: trying the next endpoint is not a retry in Linkerd's sense."""


def routes(service: ServicePort, services: Services, namespace: str) -> list[Message]:
    """Envoy's routes of one Service for clients in ``namespace``; the last one answers that none matched."""
    attached = [route for route in service.get("routes", ()) if route["clients"] in (None, namespace)]
    # A consumer's routes take the place of the producer's.
    own = [route for route in attached if route["clients"]] or attached
    if not own:
        return [_default_route(service, services)]
    pairs = [(match, route) for route in own for match in route["matches"]]
    found = [_route(service, route, match, services) for match, route in sorted(pairs, key=lambda pair: precedence(pair[0]))]
    return [*found, _no_route(service)]


def _default_route(service: ServicePort, services: Services) -> Message:
    own: Backend = {"namespace": service["namespace"], "name": service["name"], "port": service["port"], "weight": 1}
    logical = f"{_logical(service)}: route default.http"
    named = {"name": service_key(service), "match": route_match(EVERY_PATH)}
    return named | forward([own], service.get("policy", {}), {}, logical, services)


def _route(service: ServicePort, route: OutboundRoute, match: Match, services: Services) -> Message:
    ref, filters = route["ref"], route.get("filters", {})
    name = f"{service_key(service)}|{ref['group']}/{ref['namespace']}/{ref['name']}"
    found: Message = {"name": name, "match": route_match(match), **header_changes(filters)}
    if "redirect" in filters:
        return found | redirect(filters["redirect"], match, service["port"])
    logical = f"{_logical(service)}: route HTTPRoute.{ref['namespace']}.{ref['name']}"
    return found | forward(route["backends"], route["policy"], filters, logical, services)


def _logical(service: ServicePort) -> str:
    return f"logical service {service['cluster_ip']}:{service['port']}"


def _no_route(service: ServicePort) -> Message:
    return {
        "name": f"{service_key(service)}|{NO_ROUTE}",
        "match": {"prefix": "/"},
        "route": {"cluster": "none"},
        "typed_per_filter_config": envoy_balancer.failing(404, f"{_logical(service)}: no route"),
    }


def forward(backends: Sequence[Backend], policy: RoutePolicy, filters: RouteFilters, logical: str, services: Services) -> Message:
    """The action of a route that passes requests on."""
    clusters = [_weighted(backend, policy, logical, services) for backend in backends if backend["weight"] > 0]
    if not clusters:  # every weight is 0
        return {"direct_response": {"status": 500}}
    return {
        "route": {"weighted_clusters": {"clusters": clusters}, **retries(policy), **timeouts(policy), **host_rewrite(filters)},
        "metadata": {"filter_metadata": {envoy_balancer.METADATA: _timeout_texts(policy, logical, backends[0])}},
        "request_body_buffer_limit": RETRIED_BODY,
    }


def _weighted(backend: Backend, policy: RoutePolicy, logical: str, services: Services) -> Message:
    key = port_key(backend["namespace"], backend["name"], backend["port"])
    filters = backend.get("filters", {})
    error = backend.get("error", "unsupported backend filter: RequestRedirect" if "redirect" in filters else None)
    cluster: Message = {"name": key, "weight": backend["weight"], **header_changes(filters), **host_rewrite(filters)}
    if error is None and backend.get("egress"):
        return cluster | {"name": PASSTHROUGH, "typed_per_filter_config": envoy_balancer.lua_context()}
    if error is not None:
        return cluster | {"name": f"missing|{backend['name']}", "typed_per_filter_config": envoy_balancer.failing(500, error)}
    service = services.get(key) or _without_endpoints(backend)
    if service["remote_authority"]:
        cluster["host_rewrite_literal"] = service["remote_authority"]
    retry = policy.get("retry")
    context = envoy_balancer.balanced(
        service,
        service.get("accrual"),
        attempts=retry["limit"] + 1 if retry else envoy_balancer.CONNECT_ATTEMPTS,
        retried=retry is not None,
        logical=logical,
        backend=_backend_text(backend),
    )
    return cluster | {"typed_per_filter_config": context}


def _without_endpoints(backend: Backend) -> ServicePort:
    """A port that its Service does not have: requests wait for an endpoint, and then fail."""
    return {
        "namespace": backend["namespace"],
        "name": backend["name"],
        "port": backend["port"],
        "cluster_ip": "None",
        "remote_authority": None,
        "endpoints": [],
    }


def _backend_text(backend: Backend) -> str:
    name = f"Service.{backend['namespace']}.{backend['name']}:{backend['port']}"
    return f": backend {name}: {name}"


def retries(policy: RoutePolicy) -> Message:
    """Envoy's ``retry_policy``: what the annotations ask for, and always the next endpoint where one refuses the connection.

    Hedging leaves the last attempt without a limit: an attempt that runs out of time is overtaken, not cut off.
    """
    retry = policy.get("retry")
    if retry is None:
        return {"retry_policy": {"retry_on": SAFE_RETRIES, "num_retries": envoy_balancer.CONNECT_ATTEMPTS - 1} | _back_off()}
    statuses = "5xx" if retry["statuses"] == EVERY_5XX else "retriable-status-codes" if retry["statuses"] else ""
    conditions = [SAFE_RETRIES, *filter(None, [statuses]), *retry["grpc"]]
    found: Message = {"retry_on": ",".join(conditions), "num_retries": retry["limit"]} | _back_off()
    if statuses == "retriable-status-codes":
        found["retriable_status_codes"] = retry["statuses"]
    if retry["timeout"] is None:
        return {"retry_policy": found}
    found["per_try_timeout"] = f"{retry['timeout']:g}s"
    return {"retry_policy": found, "hedge_policy": {"hedge_on_per_try_timeout": True}}


def _back_off() -> Message:
    return {"retry_back_off": {"base_interval": "0.025s", "max_interval": "0.1s"}}


def timeouts(policy: RoutePolicy) -> Message:
    """A request timeout and a response timeout both end the exchange, even in the middle of a body."""
    limit = _limit(policy)
    found = {"timeout": f"{limit[1]:g}s" if limit else "0s"}
    if idle := policy.get("idle_timeout"):
        found["idle_timeout"] = f"{idle:g}s"
    return found


def _limit(policy: RoutePolicy) -> tuple[str, float] | None:
    """Which timeout comes first, and its seconds."""
    named = {"request timeout": policy.get("request_timeout"), "response stream timeout": policy.get("response_timeout")}
    return min(((name, value) for name, value in named.items() if value), key=lambda item: item[1], default=None)


def _timeout_texts(policy: RoutePolicy, logical: str, backend: Backend) -> Message:
    """The error for a request that timed out, and its short name in metrics."""
    name, seconds = _limit(policy) or ("connect timeout", 1.0)
    error = f"{logical}{_backend_text(backend)}: timed out waiting for response headers: {name}: {duration_text(seconds)}"
    return {"timeout": error, "timeout_name": name.upper().replace(" ", "_")}
