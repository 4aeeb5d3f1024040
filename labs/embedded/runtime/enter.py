"""``python -S -m labs.embedded.runtime.enter STATE PROGRAM ARG…``: become a program of the node whose shim has the folder STATE.

The program sees the mounts that the node's containers come from. If the lab has only one user, changing a file's owner
succeeds without doing anything: a kubelet gives files to the users of pods, and would otherwise wait for ever.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labs.embedded.namespaces import identity, syscalls
from labs.embedded.runtime.shim import rights
from labs.embedded.runtime.shim_client import ShimClient, ShimGone
from labs.waiting import attempts
from labs.wire.parent import die_with_parent

SHIM_TIMEOUT = 30.0
"""Seconds to wait for the node's shim."""


def shim_of(state: Path) -> int:
    """The process number of the shim; waits for it.

    Raises:
        ShimGone: no shim answers in time.
    """
    client = ShimClient(state)
    for _ in attempts(SHIM_TIMEOUT):
        try:
            return int(next(client.watch())["shim"])
        except ShimGone as error:
            last = error
    raise last


def main(state: Path, argv: list[str]) -> None:
    parent = os.getppid()
    shim = shim_of(state)
    with open(f"/proc/{shim}/ns/mnt", "rb") as mounts:
        syscalls.setns(mounts.fileno(), syscalls.CLONE_NEWNS)
    if not identity.knows_many():
        rights.pretend_chown()
    die_with_parent(parent)()
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
