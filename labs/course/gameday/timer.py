"""The pager as a live widget; in code: ``game.page()``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ipywidgets import HTML

from labs.course.render import render
from labs.errors import LabError

if TYPE_CHECKING:
    from labs.course.gameday.game import GameDay

EVERY = 2.0
"""Seconds between two updates; each one queries Prometheus."""


def live(game: GameDay) -> HTML:
    """A widget that shows the current page and refreshes it every few seconds until the game ends."""
    widget = HTML()

    def follow() -> None:
        while True:
            try:
                widget.value = game.page()._repr_html_()
            except LabError as error:  # the game is over, or the lab does not answer
                widget.value = render("reading.html.j2", reading=error.message)
                return
            time.sleep(EVERY)

    threading.Thread(target=follow, name="pager", daemon=True).start()
    return widget
