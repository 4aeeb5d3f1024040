"""Ports of the lab on the machine's 127.0.0.1: ``python -m labs.embedded.namespaces.publish RECORD PORT=HOST:PORT…``.

One process: it makes its listening sockets outside and then enters the lab's network. A socket stays where it was made, so
connections are accepted outside and opened inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from labs import errors
from labs.embedded.namespaces import join

CHUNK = 1 << 16
OUTSIDE = "127.0.0.1"


@dataclass(frozen=True)
class Publication:
    """``port`` of this machine's loopback leads to ``host:target`` inside."""

    port: int
    host: str
    target: int

    @classmethod
    def parse(cls, text: str) -> Publication:
        """From ``PORT=HOST:PORT``.

        Raises:
            UsageError: it has another form.
        """
        outside, _, inside = text.partition("=")
        host, _, target = inside.rpartition(":")
        if not (host and outside.isdigit() and target.isdigit()):
            raise errors.UsageError(f"expected PORT=HOST:PORT; found {text!r}", fix="8080=10.1.2.3:80")
        return cls(int(outside), host, int(target))

    def listen(self) -> socket.socket:
        """The listening socket outside.

        Raises:
            AddressTaken: another process listens there.
        """
        try:
            return socket.create_server((OUTSIDE, self.port))
        except OSError as error:
            message = f"expected {OUTSIDE}:{self.port} to be free; {error.strerror}"
            raise errors.AddressTaken(message, fix=f"ss -ltnp 'sport = :{self.port}'") from error


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy bytes; the end of one direction leaves the other open."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def _relay(row: Publication, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection(row.host, row.target)
    except OSError:
        writer.transport.abort()  # as if nothing listened: inside, nothing does
        return
    await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
    for end in (writer, inner_writer):
        end.close()


async def _serve(rows: list[tuple[Publication, socket.socket]]) -> None:
    def accept(row: Publication) -> object:
        return lambda reader, writer: _relay(row, reader, writer)

    servers = [await asyncio.start_server(accept(row), sock=listener) for row, listener in rows]  # type: ignore[arg-type]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main(argv: list[str]) -> None:
    rows = [Publication.parse(text) for text in argv[1:]]
    pid = join.holder(Path(argv[0]))
    listeners = [(row, row.listen()) for row in rows]
    join.enter(pid, ("user", "net"))
    asyncio.run(_serve(listeners))


if __name__ == "__main__":
    main(sys.argv[1:])
