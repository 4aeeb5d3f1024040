"""Asks the Go program ``cri-streaming`` for the URLs of exec, attach and port-forward streams."""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

ANSWER_TIMEOUT = 10.0


class StreamingError(Exception):
    """The program does not answer, or refuses; the message says why."""


@dataclass(frozen=True)
class Streaming:
    """The program whose control socket is at ``path``."""

    path: Path

    def url(self, kind: str, request: dict[str, object]) -> str:
        """``kind`` is exec, attach or portforward.

        Raises:
            StreamingError: no URL can be given.
        """
        connection = _UnixConnection(self.path)
        try:
            connection.request("POST", f"/{kind}", json.dumps(request))
            response = connection.getresponse()
            text = response.read().decode()
        except OSError as error:
            raise StreamingError(f"cri-streaming does not answer at {self.path}: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise StreamingError(text.strip())
        return text


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_TIMEOUT)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
