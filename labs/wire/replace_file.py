"""Replaces files atomically: a reader sees the old file or the new one, never half of one, even if the writer is killed."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600


def replace_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Put ``text`` into ``path`` in one rename; ``mode``, less the umask, applies from the first byte."""
    _replace(path, text.encode(), mode)


def write_private(path: Path, content: str | bytes) -> None:
    """Put ``content`` into ``path`` in one rename; nobody but its owner can read it, not even for a moment."""
    _replace(path, content.encode() if isinstance(content, str) else content, PRIVATE)


def _replace(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)  # a leftover draft would keep its old mode
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    os.replace(draft, path)
