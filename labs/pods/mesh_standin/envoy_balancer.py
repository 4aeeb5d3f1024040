"""Envoy's side of ``balancer.lua``: the filter, the context each route gives it, and the listener that lets it pause."""

from __future__ import annotations

import json
import os

from labs.pods.mesh_standin.envoy_types import EXTENSIONS, Message, typed
from labs.pods.mesh_standin.proxy_config import Accrual, ServicePort, service_key
from labs.wire.addresses import to_loopback

LUA = "lua"
METADATA = "l5d"
"""The dynamic metadata ``balancer.lua`` leaves for the access log: ``error`` and ``breaker``."""
PAUSE_SOCKET = "pause.sock"
PAUSE = "0.1s"
CONNECT_ATTEMPTS = 3
"""How many endpoints are tried until one accepts the connection. Linkerd's balancer only offers connected ones."""
SCRIPT = os.path.join(os.path.dirname(__file__), "balancer.lua")


def lua_filter() -> Message:
    with open(SCRIPT) as file:
        script = {"inline_string": file.read()}
    return {"name": LUA, "typed_config": typed("filters.http.lua.v3.Lua", default_source_code=script)}


def lua_context(**fields: object) -> Message:
    """A ``typed_per_filter_config``: what the script knows of the route, or of one of its weighted clusters."""
    return {LUA: typed("filters.http.lua.v3.LuaPerRoute", filter_context=fields)}


def balanced(
    service: ServicePort, accrual: Accrual | None, *, attempts: int, retried: bool, logical: str, backend: str
) -> Message:
    """The context for requests to ``service``; ``logical`` and ``backend`` begin the text of errors."""
    addresses = ",".join(f"{to_loopback(item['address'])}:{item['port']}" for item in service["endpoints"])
    context = {"key": service_key(service), "endpoints": addresses, "attempts": attempts, "retried": retried}
    return lua_context(**context, **_breaker(accrual), logical=logical, backend=backend)


def _breaker(accrual: Accrual | None) -> Message:
    """What the script knows of failure accrual; ``breaker`` differs wherever any of it does."""
    if accrual is None:
        return {}
    rate = accrual.get("success_rate")
    found: Message = {
        "failures": accrual["max_failures"],
        "min_penalty": accrual["min_penalty"],
        "max_penalty": accrual["max_penalty"],
        "jitter": accrual["jitter"],
        **(rate or {}),
    }
    return found | {"breaker": json.dumps(found, sort_keys=True), "mode": "consecutive" if rate is None else "unified"}


def failing(status: int, error: str) -> Message:
    """The context for requests that are answered with ``status`` and ``error``."""
    return lua_context(fail=error, status=str(status))


def policy() -> Message:
    """The load-balancing policy that takes the endpoints the script chose; random where none of them is left."""
    source = {"metadata": {"key": "envoy.lb", "path": [{"key": "endpoints"}]}}
    fallback = {"name": "random", "typed_config": typed("load_balancing_policies.random.v3.Random")}
    config = typed(
        "load_balancing_policies.override_host.v3.OverrideHost",
        override_host_sources=[source],
        fallback_policy={"policies": [{"typed_extension_config": fallback}]},
    )
    return {"policies": [{"typed_extension_config": {"name": "chosen", "typed_config": config}}]}


def pause_cluster() -> Message:
    endpoint = {"endpoint": {"address": {"pipe": {"path": PAUSE_SOCKET}}}}
    assignment = {"cluster_name": "pause", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": "pause", "type": "STATIC", "load_assignment": assignment}


def pause_listener() -> Message:
    """Answers after `PAUSE`: a script cannot sleep, but it can call and wait for the answer."""
    delay = {"fixed_delay": PAUSE, "percentage": {"numerator": 100}}
    filters = [
        {"name": "fault", "typed_config": typed("filters.http.fault.v3.HTTPFault", delay=delay)},
        {"name": "router", "typed_config": typed("filters.http.router.v3.Router")},
    ]
    host = {"name": "pause", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "pause",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": filters,
    }
    return {
        "name": "pause",
        "address": {"pipe": {"path": PAUSE_SOCKET}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
