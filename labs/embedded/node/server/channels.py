"""Kubernetes' remote-command protocol over a WebSocket (``v5.channel.k8s.io``): the first byte of a message is its channel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import WSMsgType, web

FIRST_PROTOCOL = "channel.k8s.io"
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", FIRST_PROTOCOL)
"""Version 5 is version 4 with a way to close one channel, without which a program cannot see the end of its input. The first
version says how a program ended in plain words, and nothing when it succeeded."""
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


def success() -> dict[str, Any]:
    return {"metadata": {}, "status": "Success"}


def exit_status(code: int) -> dict[str, Any]:
    """The metav1.Status that says how a program ended; kubectl makes its own exit code of it."""
    if code == 0:
        return success()
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(message: str) -> dict[str, Any]:
    """The metav1.Status of a program that could not be started."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


class Channels:
    """The channels of one WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes([channel]) + data)

    async def finish(self, status: dict[str, Any]) -> None:
        """Send how the program ended, after all output, and close."""
        if self._socket.ws_protocol not in (None, FIRST_PROTOCOL):
            await self.send(STATUS, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self.send(STATUS, status["message"].encode())
        await self._socket.close()

    async def messages(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, data) until the client goes away."""
        async for message in self._socket:
            if message.type is WSMsgType.BINARY and message.data:
                yield message.data[0], message.data[1:]
