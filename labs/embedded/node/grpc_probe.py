"""The gRPC probe: asks ``grpc.health.v1.Health`` for a service's status."""

from __future__ import annotations

import grpc

from labs.embedded import plan
from labs.embedded.node.probes import Outcome, Result
from labs.wire.health import health_pb2 as pb
from labs.wire.health import health_pb2_grpc as rpc


async def check(ip: str, port: int, service: str, timeout: float) -> Result:
    """Ask the server of the pod at ``ip``; ``timeout`` is in seconds."""
    target = f"{plan.network().dial(ip)}:{port}"
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = await rpc.HealthStub(channel).Check(pb.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Outcome.FAILURE, explain(error.code(), error.details() or "", f"{ip}:{port}", timeout)
    if answer.status == pb.HealthCheckResponse.SERVING:
        return Outcome.SUCCESS, "service healthy"
    return Outcome.FAILURE, f'service unhealthy (responded with "{name_of(answer.status)}")'


def name_of(status: int) -> str:
    """The name of a ServingStatus; the number itself for one added to the protocol later."""
    known = pb.HealthCheckResponse.ServingStatus
    return known.Name(status) if status in known.values() else str(status)


def explain(code: grpc.StatusCode, details: str, address: str, timeout: float) -> str:
    """The kubelet's words for a failed call."""
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {details}"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"timeout: health rpc did not complete within {timeout}s"
    if code == grpc.StatusCode.UNAVAILABLE:
        return f'timeout: failed to connect service "{address}" within {timeout}s: context deadline exceeded'
    return f"error: health rpc probe failed: rpc error: code = {code.name} desc = {details}"
