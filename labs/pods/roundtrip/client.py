"""Sends requests over connections that stay open, and records how long each answer took."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labs.wire.network import here

END = b"\r\n\r\n"
LENGTH = b"content-length:"
LATE_TIMEOUT = 5.0
"""Seconds after the last request until missing answers count as failed."""
LOST = "connection lost"


@dataclass(frozen=True)
class Way:
    """Where connections go, and the request to send on them."""

    host: str
    port: int
    request: bytes

    @classmethod
    def to(cls, url: str, proxy: str | None) -> Way:
        """The way to ``url``: through the HTTP proxy where there is one.

        Raises:
            ValueError: ``url`` or ``proxy`` is not http://HOST[:PORT]…
        """
        target, first = urlsplit(url), urlsplit(proxy or url)
        if target.scheme != "http" or not target.hostname or first.scheme != "http" or not first.hostname:
            raise ValueError(f"expected http://HOST[:PORT]/…; found {url!r} by way of {proxy!r}")
        line = url if proxy else target.path or "/"
        return cls(
            here().dial(first.hostname), first.port or 80, f"GET {line} HTTP/1.1\r\nHost: {target.netloc}\r\n\r\n".encode()
        )


@dataclass
class Seen:
    """What came back: how long each 200 took, in microseconds, and how often each other outcome occurred."""

    microseconds: list[int] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        return {"microseconds": self.microseconds, "failed": dict(self.failed), "seconds": round(self.seconds, 6)}


class Connection(asyncio.Protocol):
    """Carries one request at a time, sent at ``since``; 0 while idle."""

    def __init__(self, ask: Ask) -> None:
        self._ask, self._data, self.since = ask, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, since: float) -> None:
        self.since = since
        self._transport.write(self._ask.way.request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(END)
        if end and len(body) >= length(head):
            self._data = b""
            self._ask.answered(self, head[9:12].decode("latin-1"))

    def connection_lost(self, _: Exception | None) -> None:
        if self.since:
            self._ask.answered(self, LOST)
        self._ask.gone(self)

    def close(self) -> None:
        self.since = 0.0
        self._transport.close()


class Ask:
    """Requests to one server. Latency counts from when a request was meant to be sent."""

    def __init__(self, way: Way) -> None:
        self.way, self.seen = way, Seen()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._again_until = 0.0

    async def at_rate(self, rps: float, seconds: float) -> Seen:
        """Send ``rps`` requests a second, whether or not answers come."""
        loop, begun = asyncio.get_running_loop(), time.perf_counter()
        sending = []
        for number in range(round(rps * seconds)):
            due = begun + number / rps
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._idle:
                self._idle.pop().send(due)
            else:
                sending.append(loop.create_task(self._over_new(due)))
        return await self._end(begun, sending)

    async def at_most(self, connections: int, seconds: float) -> Seen:
        """Keep this many connections, each of which asks again as soon as it is answered."""
        begun = time.perf_counter()
        self._again_until = begun + seconds
        sending = [asyncio.create_task(self._over_new(None)) for _ in range(connections)]
        await asyncio.sleep(seconds)
        return await self._end(begun, sending)

    async def _over_new(self, due: float | None) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), self.way.host, self.way.port
            )
        except OSError as error:
            self.seen.failed[f"no connection: {os.strerror(error.errno or 0)}"] += 1
            return
        self._all.add(connection)
        connection.send(due or time.perf_counter())

    def answered(self, connection: Connection, status: str) -> None:
        now = time.perf_counter()
        if status == "200":
            self.seen.microseconds.append(round((now - connection.since) * 1e6))
        else:
            self.seen.failed[status] += 1
        connection.since = 0.0
        if status == LOST:
            return
        if now < self._again_until:
            connection.send(now)
        else:
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def _end(self, begun: float, sending: list[asyncio.Task[None]]) -> Seen:
        """Wait for the answers that are still to come."""
        if sending:
            await asyncio.wait(sending, timeout=LATE_TIMEOUT)
        late = time.perf_counter() + LATE_TIMEOUT
        while any(connection.since for connection in self._all) and time.perf_counter() < late:
            await asyncio.sleep(0.005)
        self.seen.seconds = time.perf_counter() - begun
        for connection in list(self._all):
            if connection.since:
                self.seen.failed["no answer"] += 1
            connection.close()
        return self.seen


def length(head: bytes) -> int:
    """The answer's Content-Length; an answer without one has no body here."""
    lower = head.lower()
    at = lower.find(LENGTH)
    return int(lower[at + len(LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
