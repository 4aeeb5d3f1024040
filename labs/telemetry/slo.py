"""Objectives and how fast their error budget burns.

A burn rate of 1 uses the budget up exactly at the end of the objective's period. Two windows must both burn before anybody is
woken: the long one says that it matters, the short one that it still goes on (Google's SRE workbook, chapter 5). Its pairs
are 1 h with 5 min and 6 h with 30 min; here they are minutes, since a workshop has no hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labs.errors import NotFound
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.promql import rate
from labs.telemetry.questions import OUTBOUND

PAGE, TICKET = 14.4, 6.0
"""Burn rates of the workbook: 2 % of 30 days' budget within an hour, 5 % within six."""
WINDOWS = ("1m", "5m")
"""The short and the long one."""


@dataclass(frozen=True)
class Objective:
    """``target`` is the share of events that must be good. ``good`` and ``total`` are a metric and its labels each."""

    title: str
    cluster: str
    target: float
    good: tuple[str, str]
    total: tuple[str, str]

    def burn_rate(self, window: str) -> str:
        """PromQL: the share of bad events in ``window`` over the share that the budget allows. No result without events."""
        good, total = rate(*self.good, window=window), rate(*self.total, window=window)
        # Where nothing at all was good there is no series to divide: that is 0, not nothing.
        return f"(1 - ({good} or vector(0)) / ({total} > 0)) / {1 - self.target:.4g}"


_TTFT = "vllm:time_to_first_token_seconds"
OBJECTIVES = {
    objective.title: objective
    for objective in (
        # Half a second is a bucket of vLLM's histogram: another limit could only be guessed at.
        Objective("first token within 0.5 s", "gpu", 0.95, (f"{_TTFT}_bucket", 'le="0.5"'), (f"{_TTFT}_count", "")),
        Objective(
            "calls to the model succeed", "app", 0.99,
            ("response_total", f'{OUTBOUND},classification="success"'), ("response_total", OUTBOUND),
        ),
    )
}  # fmt: skip
"""By title."""


def find(title: str) -> Objective:
    """The objective of that title.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    if title not in OBJECTIVES:
        raise NotFound("objective", title, list(OBJECTIVES))
    return OBJECTIVES[title]


def burn(objective: Objective, server: Prometheus) -> pd.DataFrame:
    """How fast the budget burns now: a row per window. NaN: no events in it."""
    found = {window: server.instant(objective.burn_rate(window)) for window in WINDOWS}
    rates = [float(series.iloc[0]) if len(series) else float("nan") for series in found.values()]
    return pd.DataFrame({"burn rate": rates}, index=pd.Index(found, name="window"))


def verdict(rates: pd.Series) -> str:
    """``page``, ``ticket`` or ``fine``: what the slower of the windows says, since both must agree."""
    slowest = rates.min(skipna=False)
    return "page" if slowest >= PAGE else "ticket" if slowest >= TICKET else "fine"
