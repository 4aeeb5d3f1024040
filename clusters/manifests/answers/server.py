"""Answers like a model server, in a tenth of a second, and falls ill as the files in STATE say.

``status``: fails at once with it. ``delay``: seconds before the answer. ``pace``: seconds from one token of a stream to the
next. ``silent``: takes requests and never answers. Its health check stays well whatever they say.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

STATE = Path(sys.argv[1])
VERSION, POD = os.environ["VERSION"], os.environ["POD"]
TOKENS = 10


def told(name: str, otherwise: float) -> float:
    file = STATE / name
    return float(file.read_text()) if file.exists() else otherwise


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: float(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path == "/health":
            self.answer(200)
            return
        while (STATE / "silent").exists():
            time.sleep(0.2)
        if status := int(told("status", 0)):
            self.answer(status)
        elif "tokens" in query or b'"stream": true' in body:
            self.stream(round(query.get("tokens", TOKENS)), query.get("pace", told("pace", 0.01)))
        else:
            time.sleep(query.get("sleep", told("delay", 0.1)))
            self.answer(200)

    do_POST = do_GET

    def answer(self, status: int) -> None:
        message = {"role": "assistant", "content": f"{VERSION} answers"}
        body = {"choices": [{"message": message}], "usage": {"completion_tokens": 2}, "version": VERSION}
        text = json.dumps(body).encode()
        self.head(status, {"Content-Length": str(len(text))})
        self.wfile.write(text)

    def stream(self, tokens: int, pace: float) -> None:
        """Server-sent events, the first token at once."""
        self.head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for number in range(tokens):
            time.sleep(pace if number else 0)
            self.chunk("data: " + json.dumps({"choices": [{"delta": {"content": f"token {number} "}}]}) + "\n\n")
        self.chunk("data: [DONE]\n\n")
        self.chunk("")

    def chunk(self, text: str) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text.encode()))

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"x-served-by-pod": POD}).items():
            self.send_header(name, value)
        self.end_headers()


ThreadingHTTPServer((os.environ.get("BIND_ADDRESS", ""), 8080), Answers).serve_forever()
