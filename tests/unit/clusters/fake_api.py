"""An API server of a few JSON answers on loopback, for what is looked at before anything is changed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class FakeApi:
    """``answers`` by path; ``denied``: verb and resource (``"delete namespaces"``) that access reviews say no to."""

    def __init__(self, uid: str) -> None:
        self.denied: set[str] = set()
        self.changes: list[str] = []
        self.answers: dict[str, Any] = {
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": uid}},
            "/api/v1/namespaces": {"items": [{"metadata": {"name": "default"}}]},
            "/api/v1/nodes": {"items": []},
            "/api/v1/pods": {"items": []},
            "/api/v1/services": {"items": []},
        }
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = fake.answers.get(self.path.partition("?")[0])
                reply(self, 404 if found is None else found.pop("status_code", 200), found or {"message": "not found"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != REVIEWS:
                    fake.changes.append(self.path)
                    return reply(self, 500, {"message": "a test changes nothing"})
                asked = body["spec"]["resourceAttributes"]
                return reply(self, 201, {"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in fake.denied}})

            do_PATCH = do_PUT = do_DELETE = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def node(self, name: str, *, pods: str, gpus: int = 0, labels: dict[str, str] | None = None, **spec: Any) -> None:
        """One more node, Ready."""
        self.answers["/api/v1/nodes"]["items"].append(
            {
                "metadata": {"name": name, "labels": labels or {}},
                "spec": {"podCIDRs": [pods], **spec},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "allocatable": {"nvidia.com/gpu": str(gpus)} if gpus else {},
                },
            }
        )

    def __enter__(self) -> FakeApi:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    text = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)
