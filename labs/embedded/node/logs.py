"""A container's output, written in the CRI's log format: ``TIME stdout|stderr F|P text``."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

LONGEST = 16 * 1024
"""Bytes; longer lines are split into partial ones (tag P), as runtimes do."""


class LogFile:
    """One incarnation's log; two streams write into it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(path, "ab", buffering=0)  # noqa: SIM115 (closed when both streams ended)

    def write(self, stream: bytes, line: bytes, *, partial: bool = False) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
        self._file.write(b"%s %s %s %s\n" % (now, stream, b"P" if partial else b"F", line))

    def close(self) -> None:
        self._file.close()


class _Lines(asyncio.Protocol):
    """Splits a pipe's output into log lines."""

    def __init__(self, log: LogFile, stream: bytes) -> None:
        self._log = log
        self._stream = stream
        self._rest = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            while len(line) > LONGEST:
                self._log.write(self._stream, line[:LONGEST], partial=True)
                line = line[LONGEST:]
            self._log.write(self._stream, line)
        while len(rest) > LONGEST:
            self._log.write(self._stream, rest[:LONGEST], partial=True)
            rest = rest[LONGEST:]
        self._rest = rest

    def connection_lost(self, error: Exception | None) -> None:
        if self._rest:
            self._log.write(self._stream, self._rest, partial=True)
        if not self.closed.done():
            self.closed.set_result(None)


class Capture:
    """Pipes for a program's stdout and stderr that end in a log file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._protocols: list[_Lines] = []
        self.write_ends: list[int] = []
        """File descriptors of stdout and stderr to hand to the program; close them with ``started``."""

    async def open(self) -> None:
        self._log = LogFile(self._path)
        loop = asyncio.get_running_loop()
        for stream in (b"stdout", b"stderr"):
            reader, writer = os.pipe()
            self.write_ends.append(writer)
            protocol = _Lines(self._log, stream)
            self._protocols.append(protocol)
            await loop.connect_read_pipe(lambda p=protocol: p, os.fdopen(reader, "rb", buffering=0))  # type: ignore[misc]

    def started(self) -> None:
        """The program has its copies of the descriptors (or failed to start): drop ours."""
        for fd in self.write_ends:
            os.close(fd)
        self.write_ends = []

    async def finished(self) -> None:
        """Wait until everything written before the end is in the log."""
        await asyncio.gather(*(protocol.closed for protocol in self._protocols))
        self._log.close()


def tail(path: Path, limit: int) -> str:
    """The last ``limit`` bytes of messages in a log, for terminationMessagePolicy FallbackToLogsOnError."""
    if not path.exists():
        return ""
    text = b""
    for line in path.read_bytes().splitlines()[-80:]:
        _, _, tag, message = (*line.split(b" ", 3), b"", b"", b"", b"")[:4]
        text += message + (b"\n" if tag == b"F" else b"")
    return text[-limit:].decode(errors="replace")
