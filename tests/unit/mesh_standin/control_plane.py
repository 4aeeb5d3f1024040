"""A control plane without a cluster: signs any request and streams what a test sets, behind one HTTP forward proxy."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509

from labs.pods.mesh_standin.certificates import Issuer, names_of
from labs.pods.mesh_standin.proxy_config import Update
from labs.wire.certificates import Validity, make_authority, to_pem


def new_issuer() -> Issuer:
    """A self-signed trust anchor that issues leaf certificates itself."""
    validity = Validity.lasting(datetime.timedelta(days=1), datetime.timedelta(minutes=1))
    made = make_authority("root.linkerd.cluster.local", validity, path_length=None)
    return Issuer(made.key, (made.certificate,))


class ControlPlane:
    """Identity and destination on ``host``; ``set`` changes what the proxy of a pod is told. ``refuses``: signs nothing."""

    def __init__(self, host: str) -> None:
        self.issuer = new_issuer()
        self.anchors = to_pem(*self.issuer.chain)
        self._changed = threading.Condition()
        self._state: dict[str, dict[str, Any]] = {}
        self.passed_through: list[str] = []
        self.refuses = False
        self.server = ThreadingHTTPServer((host, 0), self._handler())
        self.server.daemon_threads = True
        self.address = f"{host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set(self, pod: str, update: Update) -> None:
        with self._changed:
            self._state.setdefault(pod, {}).update(update)
            self._changed.notify_all()

    def sign(self, body: dict[str, str]) -> dict[str, Any]:
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        certificate = self.issuer.sign(csr, names_of(csr)[0], datetime.datetime.now(datetime.UTC))
        chain = to_pem(certificate, *self.issuer.chain)
        return {"chain": chain, "not_after": certificate.not_valid_after_utc.timestamp()}

    def updates(self, pod: str) -> Any:
        sent: dict[str, Any] = {}
        while True:
            with self._changed:
                state = dict(self._state.get(pod, {}))
                news = {key: value for key, value in state.items() if sent.get(key) != value}
                if not news:
                    self._changed.wait(5)
            sent = state
            yield news

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        control_plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._start(403 if control_plane.refuses else 200)
                self.wfile.write(b"refused" if control_plane.refuses else json.dumps(control_plane.sign(body)).encode())

            def do_GET(self) -> None:
                self._start()
                if "/v1/config?" not in self.path:
                    control_plane.passed_through.append(self.path)
                    self.wfile.write(b"from outside")
                    return
                with contextlib.suppress(BrokenPipeError):  # the proxy has gone
                    for update in control_plane.updates(self.path.rpartition("pod=")[2]):
                        self.wfile.write((json.dumps(update) if update else "").encode() + b"\n")

            def _start(self, status: int = 200) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
