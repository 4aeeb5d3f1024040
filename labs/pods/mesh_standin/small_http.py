"""A minimal HTTP/1.1, for the launcher beside each Envoy.

Own code, since the standard library's client and server pull in TLS and e-mail: 5 MB of own memory in every meshed pod.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

LONGEST_LINE = 64 * 1024
MOST_HEADERS = 100
LONGEST_BODY = 16 * 1024 * 1024
IDLE = 90.0
"""Seconds a client may be silent, or slow to read an answer, before its connection ends."""


class Request(NamedTuple):
    method: str
    target: str
    body: bytearray


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[Request], Answer]


def serve(listener: socket.socket, handler: Handler, name: str) -> None:
    """Answer every connection to ``listener``, each in its own daemon thread."""
    threading.Thread(target=_accept, args=(listener, handler), name=name, daemon=True).start()


def _accept(listener: socket.socket, handler: Handler) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_converse, args=(connection, handler), daemon=True).start()


def _converse(connection: socket.socket, handler: Handler) -> None:
    """Handle all requests of one connection."""
    connection.settimeout(IDLE)
    with connection, connection.makefile("rb") as stream:
        try:
            while (head := _head(stream)) is not None:
                request, stays = _request(head, stream)
                _send(connection, _answer(handler, request))
                if not stays:
                    return
        except ValueError as error:
            _send(connection, Answer(400, f"{error}\n".encode()))
        except OSError:
            return  # the client has gone, or is silent


def _answer(handler: Handler, request: Request) -> Answer:
    try:
        return handler(request)
    except OSError as error:  # a service that the handler calls is unavailable
        return Answer(503, f"{error}\n".encode())


def _send(connection: socket.socket, answer: Answer) -> None:
    head = f"HTTP/1.1 {answer.status} \r\nContent-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
    connection.sendall(head.encode() + answer.body)


def _request(head: tuple[str, dict[str, str]], stream: BinaryIO) -> tuple[Request, bool]:
    """The request, and whether its connection stays open after it."""
    words, headers = head[0].split(" "), head[1]
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise ValueError(f"expected a request line of HTTP/1; found {head[0]!r}")
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= LONGEST_BODY:
        raise ValueError(f"expected a body of at most {LONGEST_BODY} bytes; found {length}")
    asked = headers.get("connection", "keep-alive" if words[2] == "HTTP/1.1" else "close").lower()
    return Request(words[0], words[1], bytearray(_exactly(stream, length))), asked != "close"


def get(connection: socket.socket, target: str, host: str) -> tuple[int, Iterator[bytes]]:
    """Send one GET; gives the status and the answer's body in pieces, as they come.

    Raises:
        OSError: the connection broke.
        ValueError: the answer is not HTTP.
    """
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    stream = connection.makefile("rb")
    head = _head(stream)
    if head is None or not head[0].startswith("HTTP/1."):
        raise ValueError(f"expected an answer in HTTP/1; found {head[0] if head else 'nothing'!r}")
    return int(head[0].split(" ")[1]), _body(stream, head[1])


def _head(stream: BinaryIO) -> tuple[str, dict[str, str]] | None:
    """First line and headers (names in lower case) of a message; None where the stream ends before one."""
    first = _line(stream)
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := _line(stream)).strip():
        name, colon, value = line.partition(":")
        if not colon or len(headers) == MOST_HEADERS:
            raise ValueError(f"expected at most {MOST_HEADERS} headers, each NAME: VALUE; found {line[:100]!r}")
        headers[name.lower()] = value.strip()
    return first.rstrip("\r\n"), headers


def _line(stream: BinaryIO) -> str:
    line = stream.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise ValueError(f"expected a line of less than {LONGEST_LINE} bytes")
    return line.decode("latin-1")


def _body(stream: BinaryIO, headers: dict[str, str]) -> Iterator[bytes]:
    with stream:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(_line(stream).partition(";")[0], 16):
                yield _exactly(stream, size)
                stream.readline(LONGEST_LINE)
        elif "content-length" in headers:
            yield _exactly(stream, int(headers["content-length"]))
        else:
            yield from stream


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ConnectionError(f"the stream ended after {len(data)} of {size} bytes")
    return data


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a body, each as soon as it is complete."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
