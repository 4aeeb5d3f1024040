"""Where a lab's Unix sockets live: a folder with a short path that only its owner can enter.

A socket's path has at most 107 bytes (unix(7)), and a home directory's may take all of them: then the folder is below ``/tmp``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes."""
LONGEST_BELOW = 72
"""Bytes of the longest path that the lab has for a socket below its folder: node, device-plugin folder, a plugin's socket."""
TEMPORARY = Path("/tmp")
"""Not ``$TMPDIR``: a lab must be found again by a command that was started elsewhere."""


def run_folder(cache: Path, name: str) -> Path:
    """The folder of the lab called ``name``: below ``cache``, or below ``/tmp`` where sockets' paths would become too long."""
    usual = cache / "run" / name
    if len(os.fsencode(usual)) + LONGEST_BELOW <= SOCKET_PATH_LIMIT:
        return usual
    return TEMPORARY / f"boring-ops-lab-{os.getuid()}" / name


def make(folder: Path) -> None:
    """Make the folder, and the one that holds it, for their owner alone.

    Raises:
        PermissionError: one of them is somebody else's; ``/tmp`` belongs to everybody.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"expected {path} to be a folder of this user; found it taken by user {found.st_uid}")
        path.chmod(0o700)
