"""Envoy's side of ``rate_limit.lua``: the filter of a port, and what its routes tell the script."""

from __future__ import annotations

import json
import os

from labs.pods.mesh_standin.envoy_rbac import ref_key
from labs.pods.mesh_standin.envoy_types import Message, typed
from labs.pods.mesh_standin.proxy_config import RateLimit

NAME = "rate-limit"
SCRIPT = os.path.join(os.path.dirname(__file__), "rate_limit.lua")


def rate_limit_filter() -> Message:
    with open(SCRIPT) as file:
        script = {"inline_string": file.read()}
    return {"name": NAME, "typed_config": typed("filters.http.lua.v3.Lua", default_source_code=script)}


def per_route(limits: RateLimit | None) -> Message:
    """The ``typed_per_filter_config`` of a route."""
    if limits is None:
        return {}
    overrides = ";".join(f"{item['rate']} {' '.join(item['identities'])}" for item in limits["overrides"] if item["rate"])
    context: Message = {"limits": json.dumps(limits, sort_keys=True), "ref": ref_key(limits["ref"]), "overrides": overrides}
    if "total" in limits:
        context["total"] = limits["total"]
    if "identity" in limits:
        context["identity"] = limits["identity"]
    return {NAME: typed("filters.http.lua.v3.LuaPerRoute", filter_context=context)}
