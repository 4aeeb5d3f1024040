"""How a chart shows itself in a notebook: the picture, and under it, as an output of its own, its sentence and table.

Jupyter shows one form of an output, so a picture and a text need two.
"""

from __future__ import annotations

from typing import Any, Protocol

from IPython import get_ipython
from IPython.display import display


class Captioned(Protocol):
    """A picture with a text under it, both as Jupyter's display data."""

    def image(self) -> tuple[dict[str, Any], dict[str, Any]]: ...

    def caption(self) -> dict[str, Any]: ...


def show(chart: Captioned) -> None:
    """Display the picture, then the text."""
    data, metadata = chart.image()
    display(data, metadata=metadata, raw=True)
    display(chart.caption(), raw=True)


def register(kind: type[Captioned]) -> None:
    """Show every value of this type so from now on; outside IPython nothing happens."""
    shell = get_ipython()
    if shell is not None:
        shell.display_formatter.ipython_display_formatter.for_type(kind, show)
