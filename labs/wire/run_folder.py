"""The folder for a lab's Unix sockets: its path is short, and only its owner can enter it.

A socket's path may have at most 107 bytes (unix(7)). If a home directory's path is too long for that, the folder is in ``/tmp``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes."""
LONGEST_BELOW = 72
"""Bytes of the longest socket path below the lab's folder: node, device-plugin folder, a plugin's socket."""
TEMPORARY = Path("/tmp")
"""Not ``$TMPDIR``: a command started with another environment must find the lab, too."""


def run_folder(cache: Path, name: str) -> Path:
    """The folder of the lab called ``name``: below ``cache``, or below ``/tmp`` if socket paths would become too long."""
    usual = cache / "run" / name
    if len(os.fsencode(usual)) + LONGEST_BELOW <= SOCKET_PATH_LIMIT:
        return usual
    return TEMPORARY / f"boring-ops-lab-{os.getuid()}" / name


def make(folder: Path) -> None:
    """Make the folder and its parent, accessible only to their owner.

    Raises:
        PermissionError: one of them belongs to another user (anyone can create folders in ``/tmp``), or is not a folder.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"expected {path} to be a folder of this user; found it taken by user {found.st_uid}")
        path.chmod(0o700)
