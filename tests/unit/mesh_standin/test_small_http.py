"""The launcher's page of HTTP, against the standard library's client and server and against bad input."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.mesh_standin import small_http
from labs.pods.mesh_standin.small_http import Answer, Request


def echo(request: Request) -> Answer:
    if request.target == "/gone":
        raise ConnectionRefusedError("nobody is there")
    if request.target == "/bad":
        raise ValueError("expected better")
    return Answer(200, f"{request.method} {request.target} ".encode() + bytes(request.body))


@pytest.fixture(scope="module")
def port() -> int:
    listener = socket.create_server(("127.0.0.1", 0))
    small_http.serve(listener, echo, "test")
    return int(listener.getsockname()[1])


def raw(port: int, text: bytes) -> bytes:
    """All that comes back when ``text`` is sent and nothing after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_one_connection_serves_many_requests(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for number in range(3):
        connection.request("POST", f"/{number}", body=b"x" * number)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, f"POST /{number} ".encode() + b"x" * number)


@pytest.mark.parametrize("close", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"])
def test_a_client_that_wants_no_more_is_let_go(port: int, close: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(close)
        assert b"".join(iter(lambda: connection.recv(4096), b"")).endswith(b"\r\n\r\nGET / ")


@pytest.mark.parametrize(("target", "status"), [("/gone", 503), ("/bad", 400)])
def test_a_handler_that_fails_is_an_answer(port: int, target: str, status: int) -> None:
    answer = raw(port, f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"GET /\r\n\r\n", b"expected a request line of HTTP/1"),
        (b"PRI * HTTP/2.0\r\n\r\n", b"expected a request line of HTTP/1"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"each NAME: VALUE"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2 + b"".join(b"h%d: x\r\n" % n for n in range(200)) + b"\r\n", b"at most 100"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"expected a body of at most"),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"expected a body of at most"),
        (b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"invalid literal"),
        (b"GET /".ljust(small_http.LONGEST_LINE, b"x"), b"expected a line of less than"),
    ],
)
def test_what_is_no_http_is_refused(port: int, text: bytes, words: bytes) -> None:
    answer = raw(port, text)
    assert answer.startswith(b"HTTP/1.1 400 ") and words in answer
    assert raw(port, b"GET /after HTTP/1.1\r\n\r\n").endswith(b"GET /after ")


def test_a_client_that_goes_in_the_middle_of_a_body_harms_nobody(port: int) -> None:
    assert raw(port, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc") == b""
    assert raw(port, b"GET /after HTTP/1.1\r\n\r\n").endswith(b"GET /after ")


class Framed(BaseHTTPRequestHandler):
    """Answers ``one line, another`` in the framing its path names."""

    protocol_version = "HTTP/1.1"
    pieces = (b"one l", b"ine\nanot", b"her")

    def do_GET(self) -> None:
        framing = self.path.strip("/")
        self.send_response(200)
        if framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif framing == "length":
            self.send_header("Content-Length", str(sum(map(len, self.pieces))))
        self.end_headers()
        for piece in self.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        self.wfile.write(b"0\r\n\r\n" if framing == "chunked" else b"")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Framed) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.mark.parametrize("framing", ["chunked", "length", "until-close"])
def test_every_framing_of_a_body_is_read(server: HTTPServer, framing: str) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
        status, body = small_http.get(connection, f"/{framing}", "test")
        assert (status, list(small_http.lines(body))) == (200, [b"one line", b"another"])


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 many\r\n\r\n"])
def test_an_answer_that_is_no_http_is_a_value_error(tmp_path: Path, answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError):
            small_http.get(ours, "/", "test")


def test_a_body_that_breaks_off_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
        theirs.shutdown(socket.SHUT_WR)
        _, body = small_http.get(ours, "/", "test")
        with pytest.raises(ConnectionError):
            list(body)


@given(st.binary(max_size=60), st.lists(st.integers(1, 9)))
def test_lines_do_not_depend_on_how_a_body_was_cut(text: bytes, sizes: list[int]) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    pieces.append(text[at:])
    assert list(small_http.lines(iter(pieces))) == list(small_http.lines(iter([text])))
