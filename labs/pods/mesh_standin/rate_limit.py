"""HTTPLocalRateLimitPolicy: how many requests a Server's port admits, and the policy's status."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from labs.pods.mesh_standin.proxy_config import RateLimit, RateOverride
from labs.wire import linkerd
from labs.wire.linkerd import identity_of

log = logging.getLogger(__name__)

Object = dict[str, Any]


def limits_of_server(server: Object, policies: Iterable[Object]) -> RateLimit | None:
    """The limits of the oldest policy, the only one that a Server accepts; None without one."""
    policy = accepted(server, policies)
    if policy is None:
        return None
    try:
        return _limits(policy)
    except ValueError as error:
        meta = policy["metadata"]
        log.warning("Illegal server ratelimit update ns=%s name=%s error=%s", meta["namespace"], meta["name"], error)
        return None


def accepted(server: Object, policies: Iterable[Object]) -> Object | None:
    """Of several policies for a Server only the first by age, then by name, has an effect."""
    meta = server["metadata"]
    same = [item for item in policies if is_for_server(item) and _target(item) == (meta["namespace"], meta["name"])]
    return min(same, key=lambda item: (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]), default=None)


def is_for_server(policy: Object) -> bool:
    """Whether a policy's target is a Server; Linkerd ignores policies with any other target."""
    target = policy["spec"]["targetRef"]
    return (target.get("group"), target["kind"]) == (linkerd.POLICY, "Server")


def _target(policy: Object) -> tuple[str, str]:
    return policy["metadata"]["namespace"], policy["spec"]["targetRef"]["name"]


def _limits(policy: Object) -> RateLimit:
    spec, meta = policy["spec"], policy["metadata"]
    found: RateLimit = {
        "ref": {"group": linkerd.POLICY, "kind": "HTTPLocalRateLimitPolicy", "name": meta["name"]},
        "overrides": [_override(item, meta["namespace"]) for item in spec.get("overrides") or ()],
    }
    if total := _rate(spec.get("total")):
        found["total"] = total
    if identity := _rate(spec.get("identity")):
        found["identity"] = identity
    return found


def _rate(limit: Object | None) -> int:
    """Requests per second; 0, which is no limit, where there is none."""
    rate = int(limit["requestsPerSecond"]) if limit else 0
    if not 0 <= rate < 1 << 32:
        raise ValueError(f"requestsPerSecond {rate} is not a u32")
    return rate


def _override(item: Object, namespace: str) -> RateOverride:
    for ref in item["clientRefs"]:
        if (ref.get("group") or "core", ref["kind"]) != ("core", "ServiceAccount"):
            raise ValueError(f"unsupported client reference: {ref['kind']}")
    identities = [identity_of(ref["name"], ref.get("namespace") or namespace) for ref in item["clientRefs"]]
    return {"rate": _rate(item), "identities": identities}


def status(policy: Object, servers: Iterable[Object], policies: Iterable[Object]) -> Object | None:
    """The policy's status without times; None for one that is not for a Server."""
    if not is_for_server(policy):
        return None
    server = next((item for item in servers if _key(item) == _target(policy)), None)
    if server is None:
        reason = "NoMatchingTarget"
    else:
        first = accepted(server, policies)
        reason = "Accepted" if first is None or _key(first) == _key(policy) else "RateLimitReasonAlreadyExists"
    condition = {"type": "Accepted", "status": str(reason == "Accepted"), "reason": reason, "message": ""}
    target = {"group": linkerd.POLICY, "kind": "Server", "name": policy["spec"]["targetRef"]["name"]}
    return {"conditions": [condition], "targetRef": target}


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]
