"""The proxy's admin port: ``/metrics``, ``/ready``, ``/live``."""

from __future__ import annotations

import socket
from collections.abc import Callable

from labs.pods.mesh_standin import small_http
from labs.pods.mesh_standin.small_http import Answer, Request

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def serve(host: str, port: int, metrics: Callable[[], str], is_ready: Callable[[], bool]) -> None:
    """Serve in daemon threads from now on. Raises OSError when the address is taken."""

    def answer(request: Request) -> Answer:
        path = request.target.partition("?")[0]
        if request.method != "GET":
            return Answer(405, b"only GET\n")
        if path == "/metrics":
            return Answer(200, metrics().encode(), CONTENT_TYPE)
        if path == "/live":
            return Answer(200, b"live\n")
        if path == "/ready":
            return Answer(200, b"ready\n") if is_ready() else Answer(503, b"not ready\n")
        return Answer(404, b"there are /metrics, /ready and /live\n")

    small_http.serve(socket.create_server((host, port)), answer, "admin")
