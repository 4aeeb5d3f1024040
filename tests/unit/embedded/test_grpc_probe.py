"""The gRPC probe against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest
import pytest_asyncio

from labs.embedded.node import grpc_probe
from labs.embedded.node.probes import Outcome, Result
from labs.wire.health import health_pb2 as pb
from labs.wire.health import health_pb2_grpc as rpc

Check = Callable[[str], Coroutine[Any, Any, Result]]
STATUSES = {"up": 1, "down": 2, "gone": 3, "unsure": 0, "new": 17}


class Health(rpc.HealthServicer):
    async def Check(self, request: pb.HealthCheckRequest, context: grpc.aio.ServicerContext) -> pb.HealthCheckResponse:
        if request.service not in STATUSES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return pb.HealthCheckResponse(status=STATUSES[request.service])  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def check() -> AsyncIterator[Check]:
    server = grpc.aio.server()
    rpc.add_HealthServicer_to_server(Health(), server)
    port = server.add_insecure_port("127.99.0.5:0")
    await server.start()
    yield lambda service: grpc_probe.check("10.99.0.5", port, service, 10)
    await server.stop(grace=None)


@pytest.mark.parametrize(
    ("service", "result"),
    [
        ("up", (Outcome.SUCCESS, "service healthy")),
        ("down", (Outcome.FAILURE, 'service unhealthy (responded with "NOT_SERVING")')),
        ("gone", (Outcome.FAILURE, 'service unhealthy (responded with "SERVICE_UNKNOWN")')),
        ("unsure", (Outcome.FAILURE, 'service unhealthy (responded with "UNKNOWN")')),
        ("new", (Outcome.FAILURE, 'service unhealthy (responded with "17")')),
        ("", (Outcome.FAILURE, "error: health rpc probe failed: rpc error: code = NOT_FOUND desc = unknown service")),
    ],
)
async def test_what_a_server_says(check: Check, service: str, result: Result) -> None:
    assert await check(service) == result


async def test_a_server_without_the_protocol() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.99.0.5:0")
    await server.start()
    outcome, message = await grpc_probe.check("10.99.0.5", port, "", 10)
    await server.stop(grace=None)
    assert outcome is Outcome.FAILURE
    assert message.startswith("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)")


async def test_nobody_listens() -> None:
    outcome, message = await grpc_probe.check("10.99.0.6", 9, "", 2)
    assert (outcome, message) == (
        Outcome.FAILURE,
        'timeout: failed to connect service "10.99.0.6:9" within 2s: context deadline exceeded',
    )
