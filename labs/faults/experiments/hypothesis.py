"""What the service should still do while something is broken, as an objective that requests meet or miss."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labs.errors import UsageError

WINDOW = 3.0
"""Seconds of requests judged together: one slow request is not an outage, three seconds of them are."""


@dataclass(frozen=True)
class Hypothesis:
    """At least ``answered`` of all requests get an answer, and at least ``quick`` of all get one within ``within`` seconds.

    Both are shares from 0 to 1. Latency counts from the intended send time.
    """

    claim: str = "the service meets its objective"
    answered: float = 0.99
    quick: float = 0.95
    within: float = 4.0

    def __post_init__(self) -> None:
        for name in ("answered", "quick"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"expected {name} as a share from 0 to 1; found {getattr(self, name)!r}")
        if not self.within > 0:
            raise UsageError(f"expected within above 0 seconds; found {self.within!r}")

    @property
    def objective(self) -> str:
        return f"{self.answered:.0%} answered, {self.quick:.0%} within {self.within:g} s"

    def judge(self, records: pd.DataFrame) -> Judgement:
        """Judge the requests of one phase (``LoadResult.records``, or a part of it)."""
        if records.empty:
            return Judgement(False, float("nan"), float("nan"))
        answered = float(records["ok"].mean())
        quick = float((records["ok"] & (records["latency"] <= self.within)).mean())
        return Judgement(answered >= self.answered and quick >= self.quick, answered, quick)

    def missed(self, records: pd.DataFrame) -> pd.Series[bool]:
        """For each second of the load: whether the ``WINDOW`` that starts there misses the objective."""
        if records.empty:
            return pd.Series(dtype="bool")
        seconds = pd.date_range(records.index[0].floor("s"), records.index[-1], freq="s")
        found = {}
        for start in seconds:
            part = records.loc[start : start + pd.Timedelta(seconds=WINDOW)]
            found[start] = not part.empty and not self.judge(part).met
        return pd.Series(found, dtype="bool")


@dataclass(frozen=True)
class Judgement:
    """Whether one phase met the objective, and the two shares."""

    met: bool
    answered: float
    quick: float

    def __str__(self) -> str:
        return f"{self.answered:.1%} answered, {self.quick:.1%} in time"
