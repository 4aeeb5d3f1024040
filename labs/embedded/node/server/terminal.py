"""The streams of an exec'd program on the agent's side: three pipes, or one pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

CHUNK = 32 * 1024
END_OF_TRANSMISSION = b"\x04"
"""What a terminal takes for the end of input (Ctrl-D)."""


@dataclass
class Streams:
    """File descriptors for the program, and asyncio's ends of them for us."""

    program: dict[str, int] = field(default_factory=dict)
    """those requested of ``stdin``, ``stdout`` and ``stderr``; close them once the program runs."""
    stdin: asyncio.WriteTransport | None = None
    outputs: dict[str, asyncio.StreamReader] = field(default_factory=dict)
    master: int | None = None
    """The terminal's own end, if there is a terminal."""
    _transports: list[asyncio.BaseTransport] = field(default_factory=list)

    def close_program_ends(self) -> None:
        for descriptor in set(self.program.values()):
            os.close(descriptor)
        self.program = {}

    def close(self) -> None:
        for transport in self._transports:
            transport.close()

    def write(self, data: bytes) -> None:
        if self.stdin and not self.stdin.is_closing():
            self.stdin.write(data)

    def end_input(self) -> None:
        if self.master is not None:
            self.write(END_OF_TRANSMISSION)
        elif self.stdin:
            self.stdin.close()

    def resize(self, message: bytes) -> None:
        """``{"Width": columns, "Height": rows}``."""
        size = json.loads(message)
        if self.master is not None:
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0))


async def open_pipes(stdin: bool, stdout: bool, stderr: bool) -> Streams:
    streams = Streams()
    if stdin:
        streams.program["stdin"], ours = os.pipe()
        streams.stdin = await _writer(ours, streams)
    for name, wanted in (("stdout", stdout), ("stderr", stderr)):
        if wanted:
            ours, streams.program[name] = os.pipe()
            streams.outputs[name] = await _reader(ours, streams)
    return streams


async def open_terminal() -> Streams:
    master, slave = pty.openpty()
    streams = Streams(program=dict.fromkeys(("stdin", "stdout", "stderr"), slave), master=master)
    streams.stdin = await _writer(os.dup(master), streams)
    streams.outputs["stdout"] = await _reader(master, streams)
    return streams


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What the program writes, until the other end is closed everywhere."""
    try:
        while data := await reader.read(CHUNK):
            yield data
    except OSError:
        # This is how a terminal reports that its last user is gone.
        return


async def _reader(descriptor: int, streams: Streams) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0))
    streams._transports.append(transport)
    return reader


async def _writer(descriptor: int, streams: Streams) -> asyncio.WriteTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(descriptor, "wb", 0))
    streams._transports.append(transport)
    return transport
