"""``lab stop`` and ``lab down`` for an embedded lab whose environment was deleted, was moved, or has another version.

Standard library only. It finds the lab's supervisor and its watchdog by their command line, which names this checkout; the
watchdog ends all other processes (``labs.embedded.watchdog``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

from labs.embedded import shared_memory
from labs.paths import Paths
from labs.waiting import wait_until
from labs.wire import isolated

SUPERVISOR = "labs.embedded.supervisor"
STOP_GRACE = 20.0
"""Seconds that the lab may take to stop in order; etcd and the API servers come last."""
EMBEDDED = ("embedded", "")
"""Recorded backends of the labs that this module can remove; empty if ``lab up`` did not get far enough to record one."""


def backend(state: Path) -> str:
    """The backend of the lab in ``state``, read in the same way as ``labs.record``; empty if none is recorded."""
    with contextlib.suppress(OSError):
        return (state / "backend").read_text().strip()  # layout 1
    with contextlib.suppress(OSError):
        named = re.search(r'"backend": "([a-z0-9]+)"', (state / "lab.json").read_text())
        return named[1] if named else ""
    return ""


def stop(checkout: Path) -> int:
    """End the lab's processes; returns how many were told to end."""
    state = Paths.current().state
    found = supervisors(checkout, state)
    for pid in found:
        _signal(pid, signal.SIGTERM)
    if not _have_ended(checkout, state):
        # Youngest first, which is the supervisor: its watchdog then kills whatever is left below it.
        for pid in reversed(supervisors(checkout, state)):
            _signal(pid, signal.SIGKILL)
            time.sleep(1)
        _have_ended(checkout, state)
    return len(found)


def _have_ended(checkout: Path, state: Path) -> bool:
    """Whether all supervisors end within ``STOP_GRACE``."""
    return wait_until(lambda: not supervisors(checkout, state), STOP_GRACE)


def remove(checkout: Path) -> None:
    """End the lab's processes and remove what they left: state, sockets and in-memory volumes."""
    stop(checkout)
    state = Paths.current().state
    shared_memory.remove_all()
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(Paths(state).run_dir(), ignore_errors=True)


def supervisors(checkout: Path, state: Path) -> list[int]:
    """The processes of this checkout's supervisor for this state folder, oldest (its watchdog) first."""
    launcher = str(checkout.resolve() / Path(isolated.__file__).resolve().relative_to(isolated.CHECKOUT))
    found = []
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if launcher in words and SUPERVISOR in words and _state_of(folder, checkout) == state and not _has_ended(folder):
                found.append(int(folder.name))
    return found


def _state_of(process: Path, checkout: Path) -> Path:
    """The state folder of a process, from its environment."""
    variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    named = next((row.partition("=")[2] for row in variables if row.startswith("LAB_STATE=")), "")
    return Path(named or checkout / ".lab").absolute()


def _has_ended(process: Path) -> bool:
    """Whether it is a zombie, whose exit code has not been read yet."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
