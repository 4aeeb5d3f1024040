"""Entering a lab that has namespaces of its own: ``python -m labs.embedded.namespaces.join RECORD PROGRAM ARG…``."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from labs import errors
from labs.embedded.namespaces import first, syscalls

ORDER = ("user", "net", "uts", "ipc", "mnt", "pid")
"""The user namespace first: it gives the right to enter the others."""


def holder(record: Path) -> int:
    """The number of the process whose namespaces are the lab's.

    Raises:
        NotRunning: there is no such process; a number that another process has since taken does not count.
    """
    try:
        row = json.loads(record.read_text())
        if first.started(row["pid"]) == row["started"]:
            return int(row["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise errors.NotRunning(f"expected a lab's first process in {record}; found none that runs", fix="lab up")


def enter(pid: int, kinds: tuple[str, ...] = ORDER) -> None:
    """Move this process into namespaces of ``pid``; its children join the PID namespace. Call only while it has one thread.

    Raises:
        PermissionError: they are another user's.
    """
    # Open all files first: in another mount namespace /proc shows other numbers.
    files = [(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), kind) for kind in kinds]
    for fd, kind in files:
        syscalls.setns(fd, syscalls.KINDS[kind])
        os.close(fd)


def run(record: Path, argv: list[str]) -> int:
    """Run ``argv`` inside the lab, with this process's directory and terminal; returns its exit code.

    Raises:
        NotRunning: there is no lab to join.
        PermissionError: it is another user's.
    """
    folder = Path.cwd()
    enter(holder(record))
    os.chdir(folder)
    child = os.fork()
    if child == 0:
        os.execvp(argv[0], argv)
    # Ctrl-C goes to the program, which shares our terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
