"""Progress of steps on a terminal, or as plain lines where there is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

LINE_EVERY = 5.0
"""Seconds between two lines about the same step where output is not a terminal."""


def speaks_on_stderr() -> bool:
    """Whether progress goes to stderr, which leaves stdout to results. A notebook shows stderr in red, as it shows failures."""
    return sys.stderr.isatty() or "JPY_PARENT_PID" not in os.environ


def say(text: str) -> None:
    """Print a line about what goes on, where progress goes."""
    click.echo(text, err=speaks_on_stderr())


class ConsoleProgress:
    """One line per step: a bar with the latest note while it runs, then its time."""

    def __init__(self, console: Console | None = None) -> None:
        # A notebook's kernel asks for colour (FORCE_COLOR), which Rich takes for a terminal; no line can be taken back there.
        self._console = console or Console(stderr=speaks_on_stderr(), highlight=False, force_terminal=sys.stderr.isatty())
        self._bar: Progress | None = None
        self._title = ""
        self._said = 0.0

    def begin(self, title: str) -> None:
        self._title = title
        self._said = time.monotonic()
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(escape(title), total=None)
            self._bar.start()

    def note(self, text: str) -> None:
        self._show(text, None)

    def advance(self, share: float, text: str) -> None:
        self._show(text, share)

    def _show(self, text: str, share: float | None) -> None:
        if self._bar:
            task = self._bar.task_ids[0]
            self._bar.update(task, description=escape(f"{self._title}: {text}"), total=share and 1.0, completed=share or 0.0)
        elif time.monotonic() - self._said >= LINE_EVERY:
            self._said = time.monotonic()
            percent = "" if share is None else f"{share:.0%}, "
            self._line(f"  {self._title}: {percent}{text}")

    def end(self, seconds: float, failure: str | None = None) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
        outcome = f"✗ {self._title}: {failure}" if failure else f"✓ {self._title}"
        self._line(f"{outcome} ({seconds:.1f} s)")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def show_status(found: Mapping[str, Any]) -> None:
    """``lab status`` for people: a row per process."""
    table = Table(box=None, pad_edge=False)
    for title in ("PROCESS", "STATE", "PID", "RESTARTS", "LAST END"):
        table.add_column(title, justify="right" if title in ("PID", "RESTARTS") else "left")
    for row in found["children"]:
        table.add_row(row["name"], row["state"], str(row["pid"] or "-"), str(row["restarts"]), row["last_exit"] or "-")
    Console(highlight=False).print(table)
