"""Replaces a container's file system: a folder with a symbolic link per mount, and paths rewritten to point into it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OWN_FOLDERS = ("/tmp",)
"""Paths private to every container although nothing is mounted there: programs of different pods must not share them."""
TERMINATION_LOG = "/dev/termination-log"

# A path begins where neither a word nor another path precedes it, or right after a URL's "://".
_BEFORE = r"(?:(?<=://)|(?<![\w/.)}~*-]))"
_AFTER = r"(?=/|[^\w.-]|\.?$)"


class PathMap:
    """Rewrites mounted paths (and what lies below them) in text to where they are in ``root``."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self.root = root
        self.paths = sorted({clean(path) for path in paths} - {"/"}, key=len, reverse=True)
        choices = "|".join(re.escape(path) for path in self.paths)
        self._pattern = re.compile(f"{_BEFORE}({choices}){_AFTER}") if self.paths else None

    def rewrite(self, text: str) -> str:
        """``text`` with each mounted path replaced; everything else, other absolute paths included, stays."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: f"{self.root}{match[1]}", text)

    def inside(self, path: str) -> Path:
        """Where the absolute container path ``path`` is, mounted or not."""
        return self.root / path.lstrip("/")


def clean(path: str) -> str:
    """Absolute, without a trailing slash."""
    return "/" + path.strip("/")


def mounted_paths(container: dict[str, Any], extra: Sequence[str] = ()) -> list[str]:
    """All paths of ``container`` to rewrite: its mounts, its termination log, and the folders every container owns."""
    mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    return [*mounts, *extra, *OWN_FOLDERS, container.get("terminationMessagePath") or TERMINATION_LOG]


def build_root(root: Path, mounts: Sequence[tuple[str, Path]], termination_log: str) -> None:
    """A fresh root: each mount a symbolic link to its source, shorter paths first so that nested ones land inside.

    What the last incarnation wrote is gone, as in a container; volumes are only linked and stay.
    """
    shutil.rmtree(root, ignore_errors=True)
    for folder in OWN_FOLDERS:
        (root / folder.lstrip("/")).mkdir(parents=True)
    for target, source in sorted(mounts, key=lambda mount: len(mount[0])):
        link = root / target.strip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink() or link.is_file():
            link.unlink()
        elif link.is_dir():
            link.rmdir()
        link.symlink_to(source)
    log = root / termination_log.lstrip("/")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
