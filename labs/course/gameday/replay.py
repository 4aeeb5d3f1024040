"""The replay of a finished game: what the graphs showed at each moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from labs.errors import UsageError
from labs.faults.experiments.layers import INDICATORS
from labs.faults.experiments.phases import stamp
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.windows import Window

BEFORE = 5.0
"""Seconds before the injection that count as steady state; earlier, the load was still starting."""
NOTES = ["at s", "layer", "indicator", "before", "then"]


@dataclass(frozen=True)
class Replay:
    """``frames``: the series of each indicator, by name. Times are Unix time in seconds."""

    began: float
    broken: float
    ended: float
    frames: dict[str, pd.Series]
    panels: tuple[Panel, ...]
    window: Window

    @property
    def length(self) -> int:
        """Seconds from the injection to the diagnosis."""
        return int(self.ended - self.broken)

    def notes(self) -> pd.DataFrame:
        """When each indicator first left its steady state: a row each, in order (columns: ``NOTES``)."""
        rows = []
        for indicator in INDICATORS:
            series = self.frames[indicator.name]
            before = series[stamp(self.broken - BEFORE) : stamp(self.broken)].median()
            for at, then in series[stamp(self.broken) : stamp(self.ended)].items():
                if indicator.moved(float(before), float(then)) in ("up", "down"):
                    after = (pd.Timestamp(str(at)) - stamp(self.broken)).total_seconds()
                    rows.append((round(after), indicator.layer, indicator.name, before, then))
                    break
        return pd.DataFrame(rows, columns=NOTES).sort_values("at s", ignore_index=True).round(2)

    def at(self, seconds: float) -> Chart:
        """The graphs as they looked ``seconds`` after the injection, without what came later.

        Raises:
            UsageError: the game did not last that long.
        """
        if not 0 <= seconds <= self.length + 1:
            raise UsageError(f"expected a moment from 0 to {self.length} s; found {seconds!r}")
        moment = stamp(self.broken + seconds)
        past = [replace(panel, frame=panel.frame[:moment]) for panel in self.panels]
        seen = [f"{row['indicator']} ({row['layer']})" for _, row in self.notes().iterrows() if row["at s"] <= seconds]
        reading = f"After {seconds:g} s: {', '.join(seen)}." if seen else f"After {seconds:g} s nothing had moved yet."
        return draw(past, title=f"Replay, {seconds:g} s after the injection", reading=reading, windows=[self.window])

    def browse(self) -> Any:
        """A field for the second to look at, which steps with the arrow keys; in code: ``at(seconds)``."""
        from IPython.display import display
        from ipywidgets import BoundedIntText, interact

        def show(seconds: int) -> None:
            display(self.at(seconds))

        return interact(show, seconds=BoundedIntText(0, min=0, max=self.length, step=5, description="second"))
