"""The replay: what the graphs said at each moment of a game that is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from labs.errors import UsageError
from labs.faults.experiments.phases import stamp
from labs.faults.experiments.planes import INDICATORS
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.windows import Window

BEFORE = 5.0
"""Seconds before the injection that count as the steady state: users who only just arrived are none."""
NOTES = ["at s", "plane", "what", "before", "then"]


@dataclass(frozen=True)
class Replay:
    """``frames``: the series of each indicator, by its name. Times are Unix time in seconds."""

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
        """When each number first left its steady state: a row each, in order (columns: ``NOTES``)."""
        rows = []
        for indicator in INDICATORS:
            series = self.frames[indicator.what]
            before = series[stamp(self.broken - BEFORE) : stamp(self.broken)].median()
            for at, then in series[stamp(self.broken) : stamp(self.ended)].items():
                if indicator.moved(float(before), float(then)) in ("up", "down"):
                    after = (pd.Timestamp(str(at)) - stamp(self.broken)).total_seconds()
                    rows.append((round(after), indicator.plane, indicator.what, before, then))
                    break
        return pd.DataFrame(rows, columns=NOTES).sort_values("at s", ignore_index=True).round(2)

    def at(self, seconds: float) -> Chart:
        """The graphs as they were so many seconds after the injection: what lay ahead is not drawn.

        Raises:
            UsageError: the game did not last so long.
        """
        if not 0 <= seconds <= self.length + 1:
            raise UsageError(f"expected a moment from 0 to {self.length} s; found {seconds!r}")
        moment = stamp(self.broken + seconds)
        past = [replace(panel, frame=panel.frame[:moment]) for panel in self.panels]
        seen = [f"{row['what']} ({row['plane']})" for _, row in self.notes().iterrows() if row["at s"] <= seconds]
        reading = f"After {seconds:g} s: {', '.join(seen)}." if seen else f"After {seconds:g} s nothing had moved yet."
        return draw(past, title=f"Replay, {seconds:g} s after the injection", reading=reading, windows=[self.window])

    def slider(self) -> Any:
        """A slider over the moments of the game; its code twin is ``at(seconds)``."""
        from IPython.display import display
        from ipywidgets import IntSlider, interact

        def show(seconds: int) -> None:
            chart = self.at(seconds)
            data, metadata = chart.image()
            display(data, metadata=metadata, raw=True)
            display(chart.caption(), raw=True)

        return interact(show, seconds=IntSlider(0, 0, self.length, step=5, description="second"))
