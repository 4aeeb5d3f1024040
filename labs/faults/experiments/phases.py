"""When the phases of an experiment began and ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd

NAMES = ("steady", "fault", "recovery")


@dataclass(frozen=True)
class Phases:
    """Unix times in seconds. The load runs from ``began`` to ``ended``; the fault is active from ``broken`` to ``healed``.

    The heal starts at ``heal_began`` and takes a while.
    """

    began: float
    broken: float
    heal_began: float
    healed: float
    ended: float

    @property
    def spans(self) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
        """Start and end of each phase in ``NAMES``. The duration of the heal belongs to none of them."""
        edges = [(self.began, self.broken), (self.broken, self.heal_began), (self.healed, self.ended)]
        return [(stamp(start), stamp(end)) for start, end in edges]

    @property
    def age(self) -> float:
        """Seconds since the experiment began."""
        return max(1.0, time.time() - self.began)

    def split(self, records: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The requests of each phase, by intended send time."""
        return {name: records.loc[start:end] for name, (start, end) in zip(NAMES, self.spans, strict=True)}


def stamp(seconds: float) -> pd.Timestamp:
    return pd.Timestamp(seconds, unit="s", tz="UTC")
