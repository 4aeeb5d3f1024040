"""An HTTP server that answers as its path says, and tells who asked."""

from __future__ import annotations

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen: set[str] = set()
FAILS = os.environ.get("FAILS") == "yes"


class Server(BaseHTTPRequestHandler):
    """``/status/503``, ``/sleep/0.5``, ``/flaky/KEY`` (fails the first time); anything else: 200.

    With FAILS=yes it answers 500 to all but its probe.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, word, value = [*self.path.split("/"), "", ""][:3]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = int(value) if word == "status" else 200
        if word == "sleep":
            time.sleep(float(value))
        if word == "flaky" and value not in seen:
            seen.add(value)
            status = 503
        if FAILS and word != "healthz":
            status = 500
        self._answer(status)

    do_POST = do_GET

    def _answer(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"pod": os.environ.get("POD_NAME", ""), "path": self.path, "headers": headers}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        if self.path != "/healthz":
            print(self.command, self.path, flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ.get("BIND_ADDRESS", "0.0.0.0"), 8080), Server).serve_forever()
