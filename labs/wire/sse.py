"""Server-sent events (WHATWG HTML, section 9.2): frames for a server, a decoder for a client."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """One event; ``name`` is "message" unless the stream named it."""

    data: str
    name: str = "message"


def encode(data: str, name: str = "") -> bytes:
    """The bytes of one event. Each line of ``data`` becomes a ``data:`` line, as the format requires."""
    head = f"event: {name}\n" if name else ""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()


@dataclass
class Decoder:
    """Turns a stream of bytes, cut anywhere, into events."""

    _buffer: bytes = b""
    _data: list[str] = field(default_factory=list)
    _name: str = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes, in order. An unfinished event waits for the next chunk."""
        *lines, self._buffer = _split(self._buffer + chunk)
        return [event for line in lines if (event := self._line(line.decode("utf-8", "replace")))]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "data":
            self._data.append(value)
        elif key == "event":
            self._name = value
        return None  # a comment (its key is empty), id, retry or an unknown field: skipped, as the format requires

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name or "message"
        self._data, self._name = [], ""
        return Event("\n".join(data), name) if data else None


def _split(buffer: bytes) -> list[bytes]:
    """Whole lines and, last, the unfinished rest. A carriage return at the very end stays there: it may be half of a CRLF."""
    held = buffer.endswith(b"\r")
    body = buffer[:-1] if held else buffer
    parts = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if held:
        parts[-1] += b"\r"
    return parts
