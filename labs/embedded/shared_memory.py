"""Where emptyDirs with ``medium: Memory`` live: in the machine's in-memory file system, in this lab's own folder.

Standard library only: ``labs.setup.teardown`` uses it when nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from labs.paths import Paths

SHARED_MEMORY = Path("/dev/shm")
"""shm_overview(7): present on every Linux, world-writable."""


def folder(node: str) -> Path:
    """The folder of node ``node``; all labs of a machine share ``SHARED_MEMORY``, so its name identifies the lab."""
    return SHARED_MEMORY / f"{_prefix()}{node}"


def make(path: Path) -> None:
    """Make ``path``, readable by its owner only.

    Raises:
        PermissionError: it already exists and belongs to another user.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"expected {path} to be a folder of user {os.getuid()}; found it taken by user {found.st_uid}")


def remove_all() -> None:
    """Free what the nodes of this lab still hold, in case they were killed."""
    for path in SHARED_MEMORY.glob(f"{_prefix()}*"):
        shutil.rmtree(path, ignore_errors=True)


def _prefix() -> str:
    return f"boring-ops-lab-{Paths.current().run_dir().name}-"
