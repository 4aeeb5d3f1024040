"""Objectives, and how fast their error budget burns.

A burn rate of 1 uses up the budget exactly at the end of the objective's period. An alert needs two windows to burn: the long one
shows that the problem matters, the short one that it continues (Google's SRE workbook, chapter 5). The workbook pairs 1 h with
5 min and 6 h with 30 min; a workshop has to use minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labs.errors import NotFound
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.promql import rate
from labs.telemetry.questions import OUTBOUND
from labs.topology import PlacedByRole, Role

PAGE, TICKET = 14.4, 6.0
"""The workbook's burn rates: 2 % of a 30-day budget within one hour, 5 % within six."""
WINDOWS = ("1m", "5m")
"""The short window and the long one."""


@dataclass(frozen=True)
class Objective(PlacedByRole):
    """``target`` is the share of events that must be good. ``good`` and ``total`` are each a metric and its labels."""

    title: str
    role: Role
    target: float
    good: tuple[str, str]
    total: tuple[str, str]

    def burn_rate(self, window: str) -> str:
        """PromQL: the share of bad events in ``window``, relative to what the budget allows. No result without events."""
        good, total = rate(*self.good, window=window), rate(*self.total, window=window)
        # If no event was good, there is no series to divide; that means 0, not "no data".
        return f"(1 - ({good} or vector(0)) / ({total} > 0)) / {1 - self.target:.4g}"


_TTFT = "vllm:time_to_first_token_seconds"
_ALL = (
    # Half a second is a bucket boundary of vLLM's histogram; any other limit would be an estimate.
    Objective("first token within 0.5 s", "gpus", 0.95, (f"{_TTFT}_bucket", 'le="0.5"'), (f"{_TTFT}_count", "")),
    Objective(
        title="calls to the model succeed",
        role="users",
        target=0.99,
        good=("response_total", f'{OUTBOUND},classification="success"'),
        total=("response_total", OUTBOUND),
    ),
)
OBJECTIVES = {objective.title: objective for objective in _ALL}
"""By title."""


def find(title: str) -> Objective:
    """The objective with that title.

    Raises:
        NotFound: there is none; the message lists all titles.
    """
    if title not in OBJECTIVES:
        raise NotFound("objective", title, list(OBJECTIVES))
    return OBJECTIVES[title]


def burn(objective: Objective, server: Prometheus) -> pd.DataFrame:
    """How fast the budget is burning: a row per window, NaN for a window without events."""
    found = {window: server.instant(objective.burn_rate(window)) for window in WINDOWS}
    rates = [float(series.iloc[0]) if len(series) else float("nan") for series in found.values()]
    return pd.DataFrame({"burn rate": rates}, index=pd.Index(found, name="window"))


def verdict(rates: pd.Series) -> str:
    """``page``, ``ticket`` or ``fine``: the verdict of the slower window, because both must agree."""
    slowest = rates.min(skipna=False)
    return "page" if slowest >= PAGE else "ticket" if slowest >= TICKET else "fine"
