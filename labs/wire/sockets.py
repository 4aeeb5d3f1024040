"""Unix sockets below a volume."""

from __future__ import annotations

from pathlib import Path


def short(socket: Path) -> Path:
    """The same socket by its folder's real path: a socket's path may have 107 bytes at most (unix(7)), and the path a container
    has to a volume may be a longer link to it."""
    return socket.parent.resolve() / socket.name
