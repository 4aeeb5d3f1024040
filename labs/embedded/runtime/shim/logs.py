"""A container's output: written in the CRI's log format and shown to all attached clients."""

from __future__ import annotations

import os
import time
from pathlib import Path

LONGEST = 16 * 1024
"""Bytes of a log line; longer ones are split into partial ones (tag P)."""


class LogFile:
    """The log of one container; its streams take turns."""

    def __init__(self, path: str) -> None:
        self._path = Path(path or os.devnull)
        self._fd = self._open()

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """Continue in a new file after the kubelet has moved the old one away."""
        old, self._fd = self._fd, self._open()
        os.close(old)

    def write(self, stream: str, line: bytes, *, partial: bool = False) -> None:
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"
        os.write(self._fd, f"{stamp} {stream} {'P' if partial else 'F'} ".encode() + line + b"\n")

    def close(self) -> None:
        os.close(self._fd)


class Stream:
    """Splits the output of one of a container's pipes into log lines."""

    def __init__(self, log: LogFile, name: str) -> None:
        self._log = log
        self._name = name
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log.write(self._name, self._shorten(line))
        self._rest = self._shorten(self._rest)

    def _shorten(self, line: bytes) -> bytes:
        while len(line) > LONGEST:
            self._log.write(self._name, line[:LONGEST], partial=True)
            line = line[LONGEST:]
        return line

    def end(self) -> None:
        if self._rest:
            self._log.write(self._name, self._rest, partial=True)
            self._rest = b""
