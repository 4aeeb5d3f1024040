"""The gRPC probe: grpc.health.v1.Health/Check, with the two messages written by hand (one field each)."""

from __future__ import annotations

import grpc

from labs.embedded.node.probes import Outcome, Result
from labs.wire.addresses import wire

METHOD = "/grpc.health.v1.Health/Check"
STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def encode_request(service: str) -> bytes:
    """HealthCheckRequest: field 1, a string.

    >>> encode_request("a"), encode_request("")
    (b'\\n\\x01a', b'')
    """
    name = service.encode()
    if not name:
        return b""
    length, prefix = len(name), b""
    while length > 0x7F:
        prefix += bytes([length & 0x7F | 0x80])
        length >>= 7
    return b"\x0a" + prefix + bytes([length]) + name


def decode_response(message: bytes) -> int:
    """HealthCheckResponse: field 1, an enum; absent means UNKNOWN."""
    return message[1] if message[:1] == b"\x08" else 0


async def check(ip: str, port: int, service: str, timeout: float) -> Result:
    """Ask the server at the pod's wire address how ``service`` is."""
    async with grpc.aio.insecure_channel(f"{wire(ip)}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(METHOD, request_serializer=encode_request, response_deserializer=decode_response)
        try:
            status = await call(service, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Outcome.FAILURE, explain(error.code(), error.details() or "", f"{ip}:{port}", timeout)
    if status == 1:
        return Outcome.SUCCESS, "service healthy"
    return Outcome.FAILURE, f'service unhealthy (responded with "{STATUSES.get(status, status)}")'


def explain(code: grpc.StatusCode, details: str, address: str, timeout: float) -> str:
    """The kubelet's words for a failed call."""
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {details}"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"timeout: health rpc did not complete within {timeout}s"
    if code == grpc.StatusCode.UNAVAILABLE:
        return f'timeout: failed to connect service "{address}" within {timeout}s: context deadline exceeded'
    return f"error: health rpc probe failed: rpc error: code = {code.name} desc = {details}"
