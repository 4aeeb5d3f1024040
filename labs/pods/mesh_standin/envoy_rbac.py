"""Authorizations as Envoy RBAC rules."""

from __future__ import annotations

from collections.abc import Sequence

from labs.pods.mesh_standin.envoy_types import Message, typed
from labs.pods.mesh_standin.proxy_config import EVERYWHERE, Authorization, Ref

SEPARATOR = "/"


def rules(authorizations: Sequence[Authorization]) -> Message:
    """``config.rbac.v3.RBAC``: allow what one of ``authorizations`` admits, refuse the rest.

    Envoy tries policies in the order of their names and reports the first that matched: the number keeps our order.
    """
    return {
        "action": "ALLOW",
        "policies": {
            f"{i:03d} {ref_key(item['ref'])}": {"permissions": [{"any": True}], "principals": [_principal(item)]}
            for i, item in enumerate(authorizations)
        },
    }


def per_route(authorizations: Sequence[Authorization]) -> Message:
    """The ``typed_per_filter_config`` of one route."""
    both = rules(authorizations)
    # The shadow rules are there for their dynamic metadata: the access log learns by which policy a request was admitted.
    return typed("filters.http.rbac.v3.RBACPerRoute", rbac={"rules": both, "shadow_rules": both})


def ref_key(ref: Ref) -> str:
    return SEPARATOR.join((ref["group"], ref["kind"], ref["name"]))


def parse_ref(key: str) -> Ref:
    group, kind, name = key.split(SEPARATOR, 2)
    return {"group": group, "kind": kind, "name": name}


def _principal(item: Authorization) -> Message:
    parts = [_any_of([_network(cidr) for cidr in item["networks"]])] if set(item["networks"]) != set(EVERYWHERE) else []
    if item["identities"] is not None:
        parts.append(_any_of([_identity(name) for name in item["identities"]]))
    parts += [{"not_id": _network(cidr)} for cidr in item.get("excepted", ())]
    return {"and_ids": {"ids": parts}} if parts else {"any": True}


def _any_of(ids: list[Message]) -> Message:
    return {"or_ids": {"ids": ids}} if ids else {"not_id": {"any": True}}


def _identity(name: str) -> Message:
    if name == "*":
        return {"authenticated": {}}
    matcher = {"suffix": name[1:]} if name.startswith("*") else {"exact": name}
    return {"authenticated": {"principal_name": matcher}}


def _network(cidr: str) -> Message:
    # Taken apart by hand: ``ipaddress`` would cost each proxy 0.3 MB. Envoy judges the address, and clears its host bits.
    first, _, length = cidr.partition("/")
    if first.startswith("10."):  # the cluster's addresses, as they are on the wire
        first = "127." + first.removeprefix("10.")
    return {"direct_remote_ip": {"address_prefix": first, "prefix_len": int(length or (128 if ":" in first else 32))}}
