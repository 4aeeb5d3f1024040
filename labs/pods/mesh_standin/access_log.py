"""What Envoy says about each finished request."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from labs.pods.mesh_standin.envoy_rbac import parse_ref
from labs.pods.mesh_standin.proxy_config import Ref

NO_ROUTE = "none"
"""Takes the place of an HTTPRoute where a service has some and none matched."""


class InboundTarget(NamedTuple):
    """Which port, Server and route an inbound request matched; ``route`` is None where none matched."""

    port: int
    server: Ref
    route: Ref | None


class OutboundTarget(NamedTuple):
    """The service port an outbound request was for, or with ``egress`` the port of an EgressNetwork.

    ``route``: its HTTPRoute as GROUP/NAMESPACE/NAME, `NO_ROUTE`, the name of a network's own route, or empty.
    """

    namespace: str
    name: str
    port: int
    route: str = ""
    egress: bool = False

    @property
    def key(self) -> str:
        return f"out|{self.namespace}|{self.name}|{self.port}"


class Record(NamedTuple):
    """One request. A gateway's request is both inbound and outbound; one that is neither bypassed the mesh.

    ``upstream`` is ``127.x.y.z:port`` or empty, durations are in milliseconds, ``latency_ms`` to the answer's first byte.
    ``backend`` is the service port the request went to, ``error`` Linkerd's name for why the proxy itself failed it,
    ``error_text`` its ``l5d-proxy-error``, ``breaker`` an event of failure accrual, the endpoint it is about,
    the mode and, where it was taken out, why. ``limited``: the scope and the policy of a rate limit that the request exceeded.
    """

    inbound: InboundTarget | None
    outbound: OutboundTarget | None
    status: int
    denied: bool
    flags: str
    upstream: str
    peer: str
    client: str
    policy: Ref | None
    path: str
    total_ms: float
    latency_ms: float
    grpc_status: str
    protocol: str
    backend: OutboundTarget | None = None
    retries: int = 0
    error: str = ""
    error_text: str = ""
    breaker: str = ""
    limited: tuple[str, Ref] | None = None


def parse(line: str | bytes) -> Record:
    """A record from one JSON line of the access log.

    Raises:
        ValueError: the line is not such a record.
    """
    try:
        fields = json.loads(line)
        inbound, outbound = _targets(fields["route"] or "")
        if outbound and outbound.egress:  # a network's own route is for every port: the script's note has the request's
            outbound = outbound._replace(port=int(fields["mesh"]["egress"].rpartition(":")[2]))
        total = (fields["total_us"] or 0) / 1000
        first = fields["first_us"]
        return Record(
            inbound=inbound,
            outbound=outbound,
            status=int(fields["status"] or 0),
            denied=(fields["details"] or "").startswith("rbac_access_denied"),
            flags=fields["flags"] or "",
            upstream=fields["upstream"] or "",
            peer=fields["peer"] or "",
            client=fields["client"] or "",
            policy=parse_ref(fields["policy"].partition(" ")[2]) if fields["policy"] else None,
            path=fields["path"] or "",
            total_ms=total,
            latency_ms=total if first is None else first / 1000,
            grpc_status=str(fields["grpc"] or fields.get("grpc_alone") or ""),
            protocol=fields["protocol"] or "",
            backend=_targets(fields.get("cluster") or "")[1],
            **{"error_text": fields.get("error") or "", **_of_scripts(fields)},
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"expected a record of the access log; found {line[:200]!r} ({error!r})") from error


def _targets(route: str) -> tuple[InboundTarget | None, OutboundTarget | None]:
    parts = route.split("|")
    inbound = outbound = None
    if parts[0] == "in":
        inbound = InboundTarget(int(parts[1]), parse_ref(parts[2]), parse_ref(parts[3]) if parts[3] else None)
        parts = parts[4:] or [""]
    if parts[0] in ("out", "egress"):
        outbound = OutboundTarget(parts[1], parts[2], int(parts[3]), "|".join(parts[4:5]), parts[0] == "egress")
    return inbound, outbound


def _of_scripts(fields: dict[str, Any]) -> dict[str, Any]:
    """What the scripts recorded, and the names of timeouts they do not see."""
    left = fields.get("mesh") or {}
    flags = (fields["flags"] or "").split(",")
    error = left.get("error", "")
    if "UT" in flags:
        error = fields.get("timeout") or error
    elif "SI" in flags:
        error = "IDLE_TIMEOUT"
    scope, _, policy = left.get("limited", "").partition(" ")
    found = {"error": error, "retries": int(left.get("retries", 0)), "breaker": left.get("breaker", "")}
    return found | ({"limited": (scope, parse_ref(policy)), "error_text": left.get("limit_error", "")} if policy else {})
