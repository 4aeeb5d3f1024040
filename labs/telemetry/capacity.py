"""The capacity of a fleet: what a load demanded, what the fleet delivered, and where the queue began.

Demand and delivery are in tokens per second, averaged over the same few seconds, so that one can be plotted against the other.
Demand comes from the load's records, delivery from the servers' own counters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from labs.errors import UsageError
from labs.telemetry.charts import Chart, curves
from labs.telemetry.load_result import LoadResult
from labs.telemetry.prometheus import Prometheus

WINDOW = 4
"""Seconds over which rates are averaged: four scrapes."""
HALF = pd.Timedelta(seconds=WINDOW / 2)
WAITING = "sum(vllm:num_requests_waiting)"
QUEUE = 1.0
"""Requests waiting that count as a queue."""
UNLOADED_QUANTILE = 0.1
"""The latency quantile that represents an answer without a queue."""
ENOUGH = 0.95
"""The share of answers that must be good for a rate to count as sustained."""


@dataclass(frozen=True)
class Capacity:
    """What a load measured. ``curve`` has a row per second of the load: ``asked`` and ``given`` in tokens per second, ``waiting``
    in requests, and ``rate``, the requests per second that the load sent."""

    curve: pd.DataFrame
    good: pd.Series
    """By intended send time: whether the answer was within the load's limits; without limits, whether there was an answer."""

    @property
    def full(self) -> pd.DataFrame:
        """The rows from the moment the queue no longer emptied; a single scrape without a queue is ignored."""
        waiting = self.curve["waiting"].rolling(3, center=True, min_periods=1).median()
        calm = self.curve.index[waiting < QUEUE]
        return self.curve if calm.empty else self.curve[self.curve.index > calm[-1]]

    @property
    def knee(self) -> float:
        """Requests per second at which the queue began; NaN if there was no queue."""
        return float(self.full["rate"].iloc[0]) if len(self.full) else float("nan")

    @property
    def tokens_per_second(self) -> float:
        """The fleet's peak output: the median of ``given`` once it was full; if it never was, the maximum."""
        return float(self.full["given"].median() if len(self.full) else self.curve["given"].max())

    @property
    def kept_until(self) -> float:
        """Requests per second up to which ``ENOUGH`` of the answers were good, over the same window; NaN if they never were."""
        share = self.good.astype("float64").rolling(f"{WINDOW}s", center=True).mean()
        kept = share[share >= ENOUGH]
        return float("nan") if kept.empty else float(self.curve.loc[: kept.index[-1], "rate"].max())

    def row(self) -> dict[str, float]:
        """The three numbers, as a row of a table."""
        return {
            "tokens/s": round(self.tokens_per_second),
            "queue begins at requests/s": round(self.knee, 1),
            "good until requests/s": round(self.kept_until, 1),
        }


def given(later: float) -> str:
    """PromQL: tokens per second in the ``WINDOW`` centred ``later`` seconds after each moment."""
    ahead = round(1000 * (later + WINDOW / 2))
    return f"sum(rate(vllm:generation_tokens_total[{WINDOW}s] offset -{ahead}ms))"


def measure(load: LoadResult, server: Prometheus) -> Capacity:
    """Compare a load that has ended with what the model servers of ``server``'s cluster counted during it.

    Raises:
        UsageError: no request was answered, so there is nothing to compare.
    """
    records = load.records
    if not records["ok"].any():
        raise UsageError("expected a load with answered requests; none was answered", fix='lab.load("model", rps=6, seconds=20)')
    first, final = records.index[0] + HALF, records.index[-1] - HALF
    last = math.ceil(time.time() - first.timestamp()) + 2 * WINDOW  # whole seconds: the same rows whenever this runs
    # Without a queue, an answer's tokens arrive on average half of its latency after the request.
    calm = float(records.loc[records["ok"], "latency"].quantile(UNLOADED_QUANTILE))
    frames = [server.query(promql, last=last, step=1).iloc[:, 0] for promql in (given(calm / 2), WAITING)]
    curve = pd.concat(frames, axis=1, keys=["given", "waiting"]).loc[first:final].dropna()
    tokens = float(records.loc[records["ok"], "tokens"].mean())
    curve["rate"] = [_due(records.index, at) / WINDOW for at in curve.index]
    return Capacity(curve.assign(asked=curve["rate"] * tokens), _good(load))


def _due(index: pd.Index, at: pd.Timestamp) -> int:
    """How many requests were due in the ``WINDOW`` around ``at``."""
    first, last = index.searchsorted([at - HALF, at + HALF], side="right")
    return int(last - first)


def _good(load: LoadResult) -> pd.Series:
    good = load.records["ok"].copy()
    for name, limit in load.plan.limits().items():
        good &= load.records[name].fillna(float("inf")) <= limit
    return good


def draw(found: Mapping[str, Capacity], *, title: str = "", reading: str = "") -> Chart:
    """Tokens given against tokens asked, one line per fleet; the dotted line is a fleet without limits."""
    lines = {name: capacity.curve.set_index("asked")["given"].sort_index() for name, capacity in found.items()}
    marks = {
        f"{name}: queue from {capacity.knee:.1f} requests/s": float(capacity.full["asked"].iloc[0])
        for name, capacity in found.items()
        if len(capacity.full)
    }
    table = pd.DataFrame.from_dict({name: capacity.row() for name, capacity in found.items()}, orient="index")
    return curves(
        lines,
        x="tokens/s asked",
        y="tokens/s given",
        title=title or "Demand and supply",
        reading=reading,
        marks=marks,
        table=table,
    )
