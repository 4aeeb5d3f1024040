"""The supervisor's parent: when the supervisor ends, for any reason, nothing that it started stays alive.

As a child subreaper (prctl(2)) the watchdog inherits every orphan below it, even a pod's process whose parents were all killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from labs.wire.parent import die_with_parent

PR_SET_CHILD_SUBREAPER = 36


def run_under_watchdog(body: Callable[[], int]) -> int:
    """Run ``body`` in a child process; when it ends, kill everything left below it. Returns the child's exit code."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    parent = os.getpid()
    supervisor = os.fork()
    if supervisor == 0:
        die_with_parent(parent, signal.SIGTERM)()
        sys.exit(body())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _kill(supervisor, signal.SIGTERM))
    code = _wait_for(supervisor)
    kill_descendants()
    return code


def _wait_for(pid: int) -> int:
    """Reap orphans until ``pid`` itself ends."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def kill_descendants() -> None:
    """SIGKILL children until none is left; their own children become ours as they die."""
    me = os.getpid()
    while children := Path(f"/proc/{me}/task/{me}/children").read_text().split():
        for pid in children:
            _kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.wait()


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
