"""Unix sockets below a volume."""

from __future__ import annotations

from pathlib import Path


def short(socket: Path) -> Path:
    """The same socket under its folder's real path. A socket's path may have at most 107 bytes (unix(7)), and a container's path
    to a volume may be a longer link to that folder."""
    return socket.parent.resolve() / socket.name
