"""The result of an experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.phases import Phases, stamp
from labs.telemetry import tables
from labs.telemetry.charts import Chart
from labs.telemetry.load_result import LoadResult
from labs.telemetry.render import render

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Experiment:
    """``detected``: seconds from the injection until the symptom was present, None if it never was. ``layers``: a row per
    indicator. ``figure``: the requests and every layer over the same span."""

    fault: str
    hypothesis: Hypothesis
    phases: Phases
    load: LoadResult
    layers: pd.DataFrame
    detected: float | None
    figure: Chart = field(repr=False)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """A row per phase: requests, failures, latency percentiles in ms, and whether the objective was met."""
        rows = {}
        for name, part in self.phases.split(self.load.records).items():
            judged = self.hypothesis.judge(part)
            latency = {f"p{p} ms": 1000 * float(part["latency"].quantile(p / 100)) for p in PERCENTILES}
            failed = float("nan") if part.empty else 100 * float((~part["ok"]).mean())
            rows[name] = {"requests": len(part), "failed %": failed, **latency, "objective": "met" if judged.met else "missed"}
        return pd.DataFrame.from_dict(rows, orient="index").round(1)

    @property
    def held(self) -> bool | None:
        """Whether the hypothesis held while the failure was active; None without a steady state to compare with."""
        parts = self.phases.split(self.load.records)
        if not self.hypothesis.judge(parts["steady"]).met:
            return None
        return self.hypothesis.judge(parts["fault"]).met

    @property
    def felt(self) -> float | None:
        """Seconds from the injection until the objective was missed; None if it never was."""
        missed = self._missed(self.phases.broken)
        return None if missed.empty else max(0.0, (missed.index[0] - stamp(self.phases.broken)).total_seconds())

    @property
    def recovered(self) -> float | None:
        """Seconds from the start of the heal until the objective was met for good; None if that took longer than the load."""
        missed = self._missed(self.phases.heal_began)
        if missed.empty:
            return 0.0
        last: pd.Timestamp = missed.index[-1] + pd.Timedelta(seconds=1)
        if last >= self.load.records.index[-1].floor("s"):
            return None
        return (last - stamp(self.phases.heal_began)).total_seconds()

    def _missed(self, since: float) -> pd.Series[bool]:
        missed = self.hypothesis.missed(self.load.records)
        late: pd.Series[bool] = missed[(missed.index >= stamp(since)) & missed]
        return late

    @property
    def verdict(self) -> str:
        """Whether the hypothesis held, in one sentence."""
        judged = self.hypothesis.judge(self.phases.split(self.load.records)["fault"])
        claim = f"{self.hypothesis.claim!r} ({self.hypothesis.objective})"
        if self.held is None:
            return f"No verdict on {claim}: the objective was already missed in the steady state."
        return f"The hypothesis {claim} {'held' if self.held else 'did not hold'}: {judged}."

    @property
    def times(self) -> str:
        """Time to detect, until users noticed, and to recover, as a sentence."""
        seen = "not detected" if self.detected is None else f"detected after {self.detected:.1f} s"
        felt = (
            "users never missed their objective" if self.felt is None else f"users missed their objective after {self.felt:.0f} s"
        )
        after = (
            "not recovered before the load ended"
            if self.recovered is None
            else f"recovered {self.recovered:.0f} s into the repair"
        )
        return f"{seen[0].upper()}{seen[1:]}; {felt}; {after}."

    def __str__(self) -> str:
        parts = (self.verdict, self.times, self.requests.to_string(), self.layers.to_string(index=False))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        requests = tables.html(self.requests.rename_axis("phase"), f"Requests by phase: {self.fault}")
        layers = tables.html(self.layers.set_index("indicator"), f"Every layer by phase: {self.fault}")
        return str(render("experiment.html.j2", verdict=self.verdict, times=self.times, requests=requests, layers=layers))
