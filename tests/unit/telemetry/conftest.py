"""A Prometheus on the loopback that answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

ADDRESS = "127.0.0.1"


class FakePrometheus:
    """``answers`` are given in turn, the last one for ever; ``asked`` are the forms it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                outer.asked.append({"call": self.path.rpartition("/")[2], **{key: value[0] for key, value in form.items()}})
                status, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                payload = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are quiet."""

        self.server = ThreadingHTTPServer((ADDRESS, 0), Handler)
        self.url = f"http://{ADDRESS}:{self.server.server_port}"

    def matrix(self, *rows: tuple[dict[str, str], list[tuple[float, str]]]) -> None:
        """Answer a range query with these series next."""
        result = [{"metric": metric, "values": [list(value) for value in values]} for metric, values in rows]
        self.answers.append((200, {"status": "success", "data": {"resultType": "matrix", "result": result}}))

    def vector(self, *rows: tuple[dict[str, str], str]) -> None:
        """Answer an instant query with these series next."""
        result = [{"metric": metric, "value": [1.0, value]} for metric, value in rows]
        self.answers.append((200, {"status": "success", "data": {"resultType": "vector", "result": result}}))


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    prometheus = FakePrometheus()
    thread = threading.Thread(target=prometheus.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield prometheus
    prometheus.server.shutdown()
    prometheus.server.server_close()
    thread.join()
