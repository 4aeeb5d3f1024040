"""The list of checksums beside the programs: a damaged file is found before it runs. It also says where each came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

NAME = "manifest.json"


def write(folder: Path, origins: Mapping[str, str]) -> None:
    """Write size, SHA-256 and origin of each program in ``folder``; an origin is a URL, or a Go package and its version."""
    rows = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name), "origin": origin}
        for name, origin in origins.items()
    }
    (folder / NAME).write_text(json.dumps(rows, indent=2) + "\n")


def was_downloaded(folder: Path) -> bool:
    """Whether the programs in ``folder``, which has a manifest, are a release's own binaries (else they were compiled here)."""
    rows = json.loads((folder / NAME).read_text())
    return all("://" in row.get("origin", "") for row in rows.values())


def damage(folder: Path, names: Iterable[str]) -> str | None:
    """What is wrong with the programs ``names`` in ``folder``, or None if they are intact.

    Reading 330 MB takes 0.3 s: cheap enough for every ``lab up``.
    """
    try:
        rows = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        return f"{folder / NAME} is missing or unreadable"
    for name in names:
        path = folder / name
        if name not in rows or not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != rows[name]["bytes"] or digest(path) != rows[name]["sha256"]:
            return f"{name} has changed since it was stored (its checksum differs)"
    return None


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
