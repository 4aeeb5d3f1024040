"""A cell that takes longer than three seconds says what it waits for, and for how long, until it ends.

Nothing in the cells asks for it: of a ``%%bash`` cell the command that runs is shown, of a Python cell the line.
"""

from __future__ import annotations

import contextvars
import linecache
import os
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from IPython import get_ipython

from labs.course.display import Notice

SILENT = 3.0
"""Seconds of a cell before it says anything."""
EVERY = 1.0
WIDTH = 110
"""Characters of a command or a line that are shown: one line of a notebook."""
BETWEEN = ("sleep", "bash", "sh")
"""Programs that say nothing about what is waited for."""


class Heartbeat:
    """Watches the cells of one kernel."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._ended = threading.Event()

    def start(self, *_: object) -> None:
        """A cell begins."""
        self._ended = threading.Event()
        # Output of a thread belongs to the cell whose context it has.
        context = contextvars.copy_context()
        watch = (self._ended, threading.get_ident(), {child.pid for child in _children()}, time.monotonic())
        threading.Thread(target=context.run, args=(self._watch, *watch), daemon=True, name="heartbeat").start()

    def stop(self, *_: object) -> None:
        """The cell has ended."""
        self._ended.set()

    def _watch(self, ended: threading.Event, thread: int, known: Collection[int], started: float) -> None:
        notice = Notice()
        timeout = SILENT
        while not ended.wait(timeout):
            timeout = EVERY
            what = running_command(known) or running_line(sys._current_frames().get(thread), self.shell.user_ns)
            notice.show(f"… {time.monotonic() - started:.0f} s: {what}")
        notice.remove()


def running_command(known: Collection[int]) -> str:
    """The newest program that this cell has started and that still runs; ``known`` are the processes from before."""
    found = [child for child in _children() if child.pid not in known]
    for child in sorted(found, key=lambda child: (child.create_time(), child.pid), reverse=True):
        try:
            program, *arguments = child.cmdline() or [""]
        except psutil.Error:
            continue
        if program and Path(program).name not in BETWEEN:
            return _short(" ".join([Path(program).name, *arguments]))
    return ""


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def running_line(frame: FrameType | None, cell: dict[str, Any]) -> str:
    """The line of the cell that the thread with this frame executes; ``cell`` is the namespace of cells."""
    found = None
    while frame is not None:
        if frame.f_globals is cell:
            found = frame
        frame = frame.f_back
    if found is None:
        return "this cell"
    return _short(linecache.getline(found.f_code.co_filename, found.f_lineno).strip()) or "this cell"


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def register() -> None:
    """Watch this kernel's cells from now on, if somebody looks at them: Jupyter's server says so to the kernels it starts."""
    shell = get_ipython()
    if shell is None or "JPY_SESSION_NAME" not in os.environ or getattr(shell, "_boring_heartbeat", None):
        return
    shell._boring_heartbeat = heartbeat = Heartbeat(shell)
    shell.events.register("pre_run_cell", heartbeat.start)
    shell.events.register("post_run_cell", heartbeat.stop)
