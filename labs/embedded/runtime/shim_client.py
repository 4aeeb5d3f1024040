"""A client for a shim."""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOCKET = "shim.sock"
ANSWER_TIMEOUT = 30.0
"""Seconds for a request that the shim answers at once; starting a container takes 0.05 s on an idle machine."""
PACKET = 1 << 17
CHUNK = 1 << 16
MOST_OUTPUT = 16 << 20
"""Bytes kept of a program's output, per stream."""
DRAIN = 1.0
"""Seconds to keep reading after a program has ended whose child keeps its output open."""

Answer = dict[str, Any]


class ShimError(Exception):
    """The shim could not do it; the message says why."""


class ShimGone(ShimError):
    """No shim answers: it has ended, and every container with it."""


@dataclass(frozen=True)
class Finished:
    """A program that has run to its end."""

    code: int
    stdout: bytes
    stderr: bytes


class ShimClient:
    """The shim whose state is in ``state``."""

    def __init__(self, state: Path) -> None:
        self.path = state / SOCKET

    def ask(self, message: Answer, fds: Sequence[int] = ()) -> Answer:
        """Send a request that gets one answer.

        Raises:
            ShimError: the shim refuses.
        """
        with self._connect() as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            self._send(connection, message, fds)
            return self._receive(connection)

    def run(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """Run a program in a container; ``timeout`` in seconds, 0 for none.

        Raises:
            TimeoutError: it took longer, and was killed.
            ShimError: it could not be started.
        """
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._connect() as connection:
                message = {"op": "exec", "container": container, "argv": list(argv), "tty": False}
                self._send(connection, message, [null, out_end, err_end])
                for fd in (out_end, err_end):
                    os.close(fd)
                return self._collect(connection, {out: bytearray(), err: bytearray()}, timeout)
        finally:
            for fd in (out, err, null):
                os.close(fd)

    def _collect(self, connection: socket.socket, kept: dict[int, bytearray], timeout: float) -> Finished:
        deadline = time.monotonic() + timeout if timeout else None
        code: int | None = None
        stdout, stderr = kept.values()
        with selectors.DefaultSelector() as selector:
            for source in (connection.fileno(), *kept):
                selector.register(source, selectors.EVENT_READ)
            while code is None or len(selector.get_map()) > 0:
                ready = selector.select(None if deadline is None else max(0, deadline - time.monotonic()))
                if not ready and code is not None:
                    break
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fd == connection.fileno():
                        code = int(self._receive(connection)["exit"])
                        selector.unregister(connection.fileno())
                        deadline = time.monotonic() + DRAIN
                        continue
                    data = os.read(key.fd, CHUNK)
                    kept[key.fd] += data[: MOST_OUTPUT - len(kept[key.fd])]
                    if not data:
                        selector.unregister(key.fd)
        return Finished(code, bytes(stdout), bytes(stderr))

    def watch(self) -> Iterator[Answer]:
        """Yield first what runs, then each container's end; ends with the shim.

        Raises:
            ShimGone: none answers.
        """
        with self._connect() as connection:
            self._send(connection, {"op": "watch"}, ())
            while True:
                data = connection.recv(PACKET)
                if not data:
                    return
                yield json.loads(data)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # By descriptor: a socket's address has at most 107 characters, a path may have more.
            connection.connect(f"/proc/self/fd/{folder}/{self.path.name}")
        except OSError as error:
            connection.close()
            raise ShimGone(f"no shim answers at {self.path}: {error.strerror}") from error
        finally:
            os.close(folder)
        return connection

    @staticmethod
    def _send(connection: socket.socket, message: Answer, fds: Sequence[int]) -> None:
        socket.send_fds(connection, [json.dumps(message).encode()], list(fds))

    @staticmethod
    def _receive(connection: socket.socket) -> Answer:
        try:
            data = connection.recv(PACKET)
        except OSError as error:
            raise ShimGone(str(error)) from error
        if not data:
            raise ShimGone("the shim ended before it answered")
        answer: Answer = json.loads(data)
        if "error" in answer:
            raise ShimError(answer["error"])
        return answer
