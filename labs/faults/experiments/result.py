"""What came of an experiment."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.phases import Phases, stamp
from labs.telemetry.charts import Chart
from labs.telemetry.load import LoadResult

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Experiment:
    """``detected``: seconds from the injection until the failure's sign was seen, None if it was not. ``planes``: what every
    plane showed, a row per number. ``figure``: all planes and the requests over the same span."""

    fault: str
    hypothesis: Hypothesis
    phases: Phases
    load: LoadResult
    planes: pd.DataFrame
    detected: float | None
    figure: Chart = field(repr=False)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """A row per phase: how many requests, how many failed, percentiles of the latency in ms, the objective kept or missed."""
        rows = {}
        for name, part in self.phases.split(self.load.records).items():
            judged = self.hypothesis.judge(part)
            latency = {f"p{p} ms": 1000 * float(part["latency"].quantile(p / 100)) for p in PERCENTILES}
            failed = float("nan") if part.empty else 100 * float((~part["ok"]).mean())
            rows[name] = {"requests": len(part), "failed %": failed, **latency, "objective": "kept" if judged.kept else "missed"}
        return pd.DataFrame.from_dict(rows, orient="index").round(1)

    @property
    def held(self) -> bool | None:
        """Whether the hypothesis held while the failure was in force; None if there was no steady state to compare with."""
        parts = self.phases.split(self.load.records)
        if not self.hypothesis.judge(parts["steady"]).kept:
            return None
        return self.hypothesis.judge(parts["fault"]).kept

    @property
    def felt(self) -> float | None:
        """Seconds from the injection until users missed the objective; None if they never did."""
        missed = self._missed(self.phases.broken)
        return None if missed.empty else max(0.0, (missed.index[0] - stamp(self.phases.broken)).total_seconds())

    @property
    def recovered(self) -> float | None:
        """Seconds from ordering the heal until the objective was kept for good; None if it was not before the load ended."""
        missed = self._missed(self.phases.heal_began)
        if missed.empty:
            return 0.0
        last = missed.index[-1] + pd.Timedelta(seconds=1)
        if last >= self.load.records.index[-1].floor("s"):
            return None
        return (last - stamp(self.phases.heal_began)).total_seconds()

    def _missed(self, since: float) -> pd.Series:
        missed = self.hypothesis.missed(self.load.records)
        return missed[(missed.index >= stamp(since)) & missed]

    @property
    def verdict(self) -> str:
        """One sentence."""
        judged = self.hypothesis.judge(self.phases.split(self.load.records)["fault"])
        claim = f"{self.hypothesis.claim!r} ({self.hypothesis.objective})"
        if self.held is None:
            return f"No verdict on {claim}: the objective was missed before anything was broken."
        return f"The hypothesis {claim} {'held' if self.held else 'did not hold'}: {judged}."

    @property
    def times(self) -> str:
        """Time to detect, until users felt it, and to recover, in words."""
        seen = "its sign was not seen" if self.detected is None else f"its sign was seen after {self.detected:.1f} s"
        felt = "users kept their objective" if self.felt is None else f"users missed theirs after {self.felt:.0f} s"
        after = "not before the load ended" if self.recovered is None else f"{self.recovered:.0f} s after the repair began"
        return f"{seen[0].upper()}{seen[1:]}, {felt}; all was well again {after}."

    def __str__(self) -> str:
        parts = (self.verdict, self.times, self.requests.to_string(), self.planes.to_string(index=False))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        words = f"<p><strong>{html.escape(self.verdict)}</strong></p><p>{html.escape(self.times)}</p>"
        return words + self.requests.to_html(border=0) + self.planes.to_html(border=0, index=False)
