"""Files of a volume that change all at once: ``..data`` is a symbolic link that is swapped, as on a real node.

::

    volume/..2026_11_24_10_00_00.123456/key     the files
    volume/..data -> ..2026_11_24_10_00_00.123456
    volume/key -> ..data/key
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DATA = "..data"


@dataclass(frozen=True)
class File:
    """Content and permission bits."""

    content: bytes
    mode: int


def write(volume: Path, files: Mapping[str, File]) -> bool:
    """Make ``volume`` hold exactly ``files`` (relative path → file); returns whether anything changed."""
    data = volume / DATA
    if data.exists() and _same(data, files):
        return False
    folder = volume / datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.%f")
    folder.mkdir()
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    old = data.resolve() if data.exists() else None
    fresh = volume / "..data_tmp"
    fresh.symlink_to(folder.name)
    os.replace(fresh, data)
    _link(volume, {name.split("/")[0] for name in files})
    if old:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _same(data: Path, files: Mapping[str, File]) -> bool:
    present = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    return present == set(files) and all((data / name).read_bytes() == file.content for name, file in files.items())


def _link(volume: Path, names: set[str]) -> None:
    for name in names:
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"{DATA}/{name}")
    for path in volume.iterdir():
        if path.is_symlink() and path.name != DATA and path.name not in names:
            path.unlink()
