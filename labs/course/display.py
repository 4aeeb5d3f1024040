"""How a chart shows itself in a notebook: the picture, and under it, as an output of its own, its sentence and table.

Jupyter shows one form of an output, so a picture and a text need two.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from IPython import get_ipython
from IPython.display import DisplayHandle, display


class Captioned(Protocol):
    """A picture with a text under it, both as Jupyter's display data."""

    def image(self) -> tuple[dict[str, Any], dict[str, Any]]: ...

    def caption(self) -> dict[str, Any]: ...


def show(chart: Captioned) -> None:
    """Display the picture, then the text."""
    data, metadata = chart.image()
    display(data, metadata=metadata, raw=True)
    display(chart.caption(), raw=True)


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


def register(kind: type[Captioned]) -> None:
    """Show every value of this type so from now on; outside IPython nothing happens."""
    shell = get_ipython()
    if shell is not None:
        shell.display_formatter.ipython_display_formatter.for_type(kind, show)
