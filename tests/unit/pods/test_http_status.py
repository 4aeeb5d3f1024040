"""``http-status``: the status of any answer, an error's too; no answer is a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from labs.pods.__main__ import main


class Gatekeeper(BaseHTTPRequestHandler):
    """Lets everyone in at /open, elsewhere only who shows a token and a name."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Bearer token" and self.headers.get("X-Name") == "a:b"
        self.send_response(200 if self.path == "/open" or known else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gatekeeper)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "status"), [("open", "200"), ("closed", "403")])
def test_it_prints_the_status(address: str, path: str, status: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http-status", f"{address}/{path}"]) == 0
    assert capsys.readouterr().out == f"{status}\n"


def test_it_sends_the_headers_it_is_given(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http-status", "--header", "Authorization: Bearer token", "--header", "X-Name:a:b", f"{address}/closed"]) == 0
    assert main(["http-status", "--header", "Authorization: Bearer token", f"{address}/closed"]) == 0
    assert capsys.readouterr().out == "200\n403\n"


def test_no_answer_is_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert main(["http-status", "http://127.0.0.1:1/"]) == 1
    assert "no answer: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["file:///etc/passwd"],
        ["http://a", "http://b"],
        ["--header", "http://a"],
        ["--header", "no colon", "http://a"],
        ["--other", "a:b", "http://a"],
    ],
)
def test_wrong_usage_is_2(argv: list[str]) -> None:
    assert main(["http-status", *argv]) == 2
