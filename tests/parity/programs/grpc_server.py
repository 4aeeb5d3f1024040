"""A gRPC server whose answers say who answered; messages are plain bytes, so that nothing has to be generated."""

from __future__ import annotations

import json
import os
from concurrent import futures

import grpc

SERVING = b"\x08\x01"
"""HealthCheckResponse: field 1, status SERVING."""


def say(request: bytes, context: grpc.ServicerContext) -> bytes:
    """The pod's name and the metadata it was called with; a request that names a status code is answered with that."""
    if request:
        context.abort(getattr(grpc.StatusCode, request.decode()), "as asked")
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return json.dumps({"pod": os.environ.get("POD_NAME", ""), "metadata": metadata}).encode()


def check(request: bytes, context: grpc.ServicerContext) -> bytes:
    return SERVING


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for service, method, handler in (("parity.Echo", "Say", say), ("grpc.health.v1.Health", "Check", check)):
        handlers = {method: grpc.unary_unary_rpc_method_handler(handler)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"{os.environ.get('BIND_ADDRESS', '0.0.0.0')}:8080")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
