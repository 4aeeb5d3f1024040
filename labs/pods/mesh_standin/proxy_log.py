"""The lines a Linkerd proxy logs about requests it did not pass on (recordings/linkerd, files 21 to 25 and 30 to 34)."""

from __future__ import annotations

from collections.abc import Iterator

from labs.pods.mesh_standin.access_log import InboundTarget, OutboundTarget, Record
from labs.pods.mesh_standin.connection_log import Connection
from labs.pods.mesh_standin.proxy_config import Ref
from labs.wire.addresses import to_api

FAIL_FAST_SECONDS = 3.0


def lines_about(record: Record) -> Iterator[str]:
    """Lines for requests that were denied, audited, failed by the proxy itself, or moved a circuit breaker."""
    if record.inbound:
        yield from _inbound_lines(record, record.inbound)
    elif record.outbound:
        yield from _outbound_lines(record, record.outbound)


def lines_about_connection(found: Connection) -> Iterator[str]:
    """A line for a connection that was denied (linkerd2-proxy, linkerd/app/inbound/src/policy/tcp.rs)."""
    if found.denied:
        client = f"tls={found.peer or 'None(NoClientHello)'} client={to_api(found.client)}"
        yield f"inbound:server{{port={found.port}}}: Connection denied {_ref('server', found.server)} {client}"


def _outbound_lines(record: Record, target: OutboundTarget) -> Iterator[str]:
    service = f"outbound:service{{ns={target.namespace} name={target.name} port={target.port}}}"
    if record.breaker:
        yield f"{service}:{_breaker_line(record.breaker)}"
    if record.error == "FAIL_FAST":
        yield f"{service}: Unavailable; entering failfast timeout={FAIL_FAST_SECONDS}"
    if record.error_text:
        rescue = f"rescue{{client.addr={to_api(record.client)}}}"
        yield f'outbound:{rescue}: HTTP/1.1 request failed error={record.error_text} path="{record.path}"'


def _breaker_line(breaker: str) -> str:
    """In Linkerd's words, in which "closed" takes the endpoint out and "reopened" lets it back in."""
    event, address, mode, *reason = breaker.split(" ")
    host, _, port = address.rpartition(":")
    endpoint = f"endpoint{{addr={to_api(host)}:{port}}}"
    if mode != "unified":
        return f"{endpoint}: Consecutive failure-accrual breaker {event}"
    what = "reopened" if event == "reopened" else f"tripped trip_reason={' '.join(reason)}"
    return f"{endpoint}: Unified circuit breaker {what}"


def _inbound_lines(record: Record, target: InboundTarget) -> Iterator[str]:
    client = f"client.tls={record.peer or 'None(NoClientHello)'} client.ip={to_api(record.client)}"
    server = f"inbound:server{{port={target.port}}}"
    if target.route is None:
        yield _failed(server, record, "no route found for request")
    elif record.denied:
        yield f"{server}: Request denied {_policy(target, target.route)} {client}"
        yield _failed(server, record, "unauthorized request on route")
    elif record.limited:
        yield _failed(server, record, record.error_text)
    elif record.policy and record.policy["name"] == "audit":
        authz = _ref("authz", record.policy)
        yield f"{server}: Request allowed {_policy(target, target.route)} {client} {authz}"


def _failed(server: str, record: Record, why: str) -> str:
    client = to_api(record.client)
    error = f"error=client {client}: server: {why} error.sources=[{why}]"
    return f'{server}:rescue{{client.addr={client}}}: HTTP/1.1 request failed {error} path="{record.path}"'


def _policy(target: InboundTarget, route: Ref) -> str:
    return f"{_ref('server', target.server)} {_ref('route', route)}"


def _ref(prefix: str, ref: Ref) -> str:
    return f"{prefix}.group={ref['group']} {prefix}.kind={ref['kind']} {prefix}.name={ref['name']}"
