"""Sends requests repeatedly over one open connection, and reports when the answer's status changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from labs.pods.roundtrip.client import END, Way, length

TIMEOUT = 5.0


async def watch(way: Way, every: float, seconds: float, tell: Callable[[dict[str, object]], None]) -> None:
    """Ask every ``every`` seconds; report each change as ``{"time": Unix time, "status": …}``, and at the end what it took."""
    end = time.monotonic() + seconds
    last, requests, connections = "", 0, 0
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                if stream is None:
                    stream = await asyncio.open_connection(way.host, way.port)
                    connections += 1
                status = await _ask(*stream, way.request)
        except (OSError, EOFError, TimeoutError):
            status, stream = "none", None
        requests += 1
        if status != last:
            tell({"time": time.time(), "status": status})
            last = status
        await asyncio.sleep(max(0.0, begun + every - time.monotonic()))
    tell({"requests": requests, "connections": connections})


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> str:
    writer.write(request)
    head = await reader.readuntil(END)
    await reader.readexactly(length(head))
    return head[9:12].decode("latin-1")
