"""Reading container logs in the CRI's format: lines ``TIME STREAM F|P TEXT``, P when the container's own line continues."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labs.waiting import async_attempts

BLOCK = 64 * 1024
"""Bytes read at a time when looking for the last lines of a log."""


@dataclass(frozen=True)
class Entry:
    """One line of a log file."""

    time: bytes
    """RFC 3339 with nanoseconds, as written."""
    stream: str
    text: bytes
    """What the container wrote, including the newline if this entry ends the line."""


@dataclass(frozen=True)
class Options:
    """Which part of a log to read; the fields are those of v1 PodLogOptions."""

    follow: bool = False
    tail: int | None = None
    since: datetime.datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: str = "All"
    """``All``, ``Stdout`` or ``Stderr``."""


def parse(line: bytes) -> Entry | None:
    """The entry of one line of the file (with its newline); None for a line that is not in the CRI's format."""
    time, _, rest = line.rstrip(b"\n").partition(b" ")
    stream, _, rest = rest.partition(b" ")
    tags, separator, text = rest.partition(b" ")
    if stream not in (b"stdout", b"stderr") or not separator:
        return None
    # There may be several tags, separated by colons; the first says whether the line is complete.
    return Entry(time, stream.decode(), text if tags.split(b":")[0] == b"P" else text + b"\n")


def when(entry: Entry) -> datetime.datetime:
    """The entry's time, to the microsecond.

    Raises:
        ValueError: the entry does not begin with a time.
    """
    return parse_time(entry.time.decode())


def parse_time(text: str) -> datetime.datetime:
    """An RFC 3339 time with any number of digits after the second.

    Raises:
        ValueError: it is not one.
    """
    whole, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if point else ""
    moment = datetime.datetime.fromisoformat(whole + point + digits[:6].ljust(6, "0") + zone if point else whole)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


async def read(path: Path, options: Options, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The wanted part of the log at ``path``, piece by piece; with ``follow`` until ``ended()`` and nothing is left to read."""
    left = options.limit_bytes
    line_begins = True
    with path.open("rb") as file:
        file.seek(tail_offset(file, options.tail))
        async for entry in _entries(file, options, ended):
            # A line that the container wrote in pieces gets one timestamp.
            stamp = entry.time + b" " if options.timestamps and line_begins else b""
            line_begins = entry.text.endswith(b"\n")
            piece = (stamp + entry.text)[:left]
            yield piece
            if left is not None and (left := left - len(piece)) <= 0:
                return


async def _entries(file: BinaryIO, options: Options, ended: Callable[[], bool]) -> AsyncIterator[Entry]:
    """The entries from the file's position onwards that pass the filters of ``options``."""
    async for line in _lines(file, options.follow, ended):
        entry = parse(line)
        if entry is None or options.stream.lower() not in ("all", entry.stream):
            continue
        if options.since is None or when(entry) >= options.since:
            yield entry


async def _lines(file: BinaryIO, follow: bool, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Complete lines of the file; with ``follow`` also those still to come."""
    rest = b""
    over = not follow
    async for _ in async_attempts(math.inf):
        # Check once more after the end: the last output may reach the file a moment later than the exit code reaches us.
        last, over = over, over or ended()
        while line := file.readline():
            rest += line
            if rest.endswith(b"\n"):
                yield rest
                rest = b""
        if last:
            return


def tail_offset(file: BinaryIO, lines: int | None) -> int:
    """Where the last ``lines`` lines of the file begin; 0 for None."""
    if lines is None:
        return 0
    end = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    # The newline that ends the file ends its last line; it does not start another.
    for start, block in _blocks_from_end(file, end - 1):
        position = len(block)
        while (position := block.rfind(b"\n", 0, position)) >= 0:
            lines -= 1
            if lines == 0:
                return start + position + 1
    return 0


def _blocks_from_end(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        yield start, file.read(end - start)
        end = start
