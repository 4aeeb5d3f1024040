"""What a cell's output shows: a notice while it waits, a value before an error, tables that a screen reader can use."""

from __future__ import annotations

import sys

import pandas as pd
from IPython import get_ipython
from IPython.display import DisplayHandle, display

from labs.telemetry import tables


class Notice:
    """A line in a cell's output that says what is being waited for; nothing is shown until there is something to say."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None

    def show(self, line: str) -> None:
        """Show the line, in place of the one before. Outside IPython it goes to stderr."""
        if get_ipython() is None:
            print(line, file=sys.stderr, flush=True)
        elif self._handle is None:
            self._handle = display(_text(line), raw=True, display_id=True)
        else:
            self._handle.update(_text(line), raw=True)

    def remove(self) -> None:
        """Leave nothing of it in the cell."""
        if self._handle is not None:
            self._handle.update(_text(""), raw=True)


def _text(line: str) -> dict[str, str]:
    return {"text/plain": line}


def now(value: object) -> None:
    """Show a value at this point of the cell, before an error ends it; outside IPython the error says it all."""
    if get_ipython() is not None:
        display(value)


def register_tables() -> None:
    """Show every DataFrame as ``labs.telemetry.tables`` does from now on; outside IPython nothing happens."""
    shell = get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, tables.html)
