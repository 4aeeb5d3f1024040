"""Where emptyDirs with ``medium: Memory`` live: in the machine's file system in memory, in a folder of this lab's own.

Standard library only: ``labs.setup.teardown`` uses it where nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from labs.paths import Paths

SHARED_MEMORY = Path("/dev/shm")
"""shm_overview(7): there on every Linux, writable by everybody."""


def folder(node: str) -> Path:
    """The folder of node ``node``; all labs of a machine meet in ``SHARED_MEMORY``, so its name says whose it is."""
    return SHARED_MEMORY / f"{_prefix()}{node}"


def make(path: Path) -> None:
    """Make ``path``, readable by its owner only.

    Raises:
        PermissionError: it is there already and belongs to somebody else.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"expected {path} to be a folder of user {os.getuid()}; found it taken by user {found.st_uid}")


def remove_all() -> None:
    """Give back what the nodes of this lab still hold, should they have been killed."""
    for path in SHARED_MEMORY.glob(f"{_prefix()}*"):
        shutil.rmtree(path, ignore_errors=True)


def _prefix() -> str:
    return f"boring-ops-lab-{Paths.current().run_dir().name}-"
