"""The pager on the page, kept up to date: its code twin is ``game.page()``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ipywidgets import HTML

from labs.errors import LabError

if TYPE_CHECKING:
    from labs.course.gameday.game import GameDay

EVERY = 2.0
"""Seconds between two looks: the pager asks Prometheus each time."""


def live(game: GameDay) -> HTML:
    """A widget that shows the page now and again every few seconds, until the game ends."""
    widget = HTML()

    def follow() -> None:
        while True:
            try:
                widget.value = game.page()._repr_html_()
            except LabError as error:  # the game is over, or the lab does not answer
                widget.value = f"<p>{error.message}</p>"
                return
            time.sleep(EVERY)

    threading.Thread(target=follow, name="pager", daemon=True).start()
    return widget
