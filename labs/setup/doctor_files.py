"""Folders and clock of this machine: traces of a ``sudo``, a disk that cannot be written, or a wrong date."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from labs import config
from labs.paths import Paths, cache_dir
from labs.setup.findings import Finding

DAY = 86400.0
CLOCK_FILES = ("requirements.lock", "clusters/versions.toml", "pyproject.toml")
"""Files whose modification times are in the past, unless the clock is wrong."""


def looks() -> list[Finding]:
    """All findings of this module; they apply to every backend."""
    return [cache_folder(), ownership(), temporary_folder(), clock()]


def cache_folder() -> Finding:
    """Whether the cache folder can be written, or created."""
    folder = nearest(cache_dir())
    ok = os.access(folder, os.W_OK | os.X_OK)
    found = shown(cache_dir()) + ("" if ok else f": {folder} cannot be written")
    return Finding("cache folder", ok, found, "export XDG_CACHE_HOME=/a/folder/of/yours, then the same command again")


def ownership() -> Finding:
    """Whether this user owns all of the lab's files: after ``sudo ./scripts/lab``, later commands cannot replace root's files."""
    strangers = [path for path in own_paths() if path.lstat().st_uid != os.getuid()]
    fix = f"sudo chown -R $(id -u) {' '.join(repr(str(path)) for path in strangers)}"
    found = ", ".join(map(str, strangers)) + " belong to another user" if strangers else "all yours"
    return Finding("owner of the lab's files", not strangers, found, fix)


def own_paths() -> Iterator[Path]:
    """What the lab writes: its folders in the checkout, its cache folder, and the entries directly in the cache folder."""
    for path in (Paths.current().state, config.ROOT / ".venv", cache_dir()):
        if path.exists():
            yield path
    if cache_dir().is_dir() and os.access(cache_dir(), os.R_OK | os.X_OK):
        yield from sorted(cache_dir().iterdir())


def temporary_folder() -> Finding:
    """Programs write to ``$TMPDIR`` or /tmp. Python ignores a ``$TMPDIR`` that does not exist, but not every program does."""
    named = os.environ.get("TMPDIR")
    if named and not os.access(named, os.W_OK | os.X_OK):
        return Finding("temporary folder", False, f"TMPDIR={named} does not exist or cannot be written", "unset TMPDIR")
    try:
        return Finding("temporary folder", True, tempfile.gettempdir())
    except FileNotFoundError as error:
        return Finding("temporary folder", False, str(error), "export TMPDIR=/a/folder/of/yours")


def clock() -> Finding:
    """Whether the clock is right. If it is behind, certificates, including those of download sites, are not valid yet."""
    newest = max((config.ROOT / name).stat().st_mtime for name in CLOCK_FILES)
    now = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime())
    behind = time.time() < newest - DAY
    written = time.strftime("%Y-%m-%d", time.localtime(newest))
    found = f"{now}, before this checkout's files were written ({written})" if behind else now
    return Finding("clock", not behind, found, "set the clock (sudo timedatectl set-ntp true), then the same command again")


def shown(path: Path) -> str:
    """``path`` with ``~`` for the home folder, because notebooks keep this output in git."""
    home = os.path.expanduser("~")
    return f"~{str(path)[len(home) :]}" if home != "/" and path.is_relative_to(home) else str(path)


def nearest(folder: Path) -> Path:
    """``folder``, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
