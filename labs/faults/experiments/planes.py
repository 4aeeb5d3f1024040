"""What every plane shows in each phase of an experiment: a few numbers per plane, and whether they moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from labs.errors import LabError
from labs.faults.experiments.phases import Phases
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.story import CALLS

WINDOW = "5s"
"""Window of every rate: five scrapes, so that a glance five seconds after a repair no longer sees what was repaired."""
SETTLED, AT_LEAST, AT_MOST = 0.4, pd.Timedelta(WINDOW), 0.8
"""What is left out at a phase's beginning, since rates and temperatures need a while: this share, and at least one window, if
that leaves a fifth of the phase."""
COLUMNS = ["plane", "what", "steady", "fault", "recovery", "moved"]


@dataclass(frozen=True)
class Indicator:
    """One number of one plane. It moved if it changed by more than ``share`` of its steady value and by more than ``least``."""

    plane: str
    what: str
    cluster: str
    promql: str
    least: float
    share: float = 0.3

    def moved(self, steady: float, fault: float) -> str:
        """``"up"``, ``"down"``, ``"-"``, or ``"gone"`` and ``"new"`` where there is no value."""
        if pd.isna(steady) or pd.isna(fault):
            return "-" if pd.isna(steady) and pd.isna(fault) else "gone" if pd.isna(fault) else "new"
        if abs(fault - steady) <= max(self.least, self.share * abs(steady)):
            return "-"
        return "up" if fault > steady else "down"


def _p95(metric: str, selector: str = "") -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({metric}_bucket{selector}[{WINDOW}])))"


def _calls(matchers: str) -> str:
    # "or vector(0)": a status nobody has had yet has no series, and is none per second all the same.
    return f"sum(rate(response_total{{{CALLS},{matchers}}}[{WINDOW}])) or vector(0)"


AT_WORK = 'DCGM_FI_DEV_GPU_UTIL{pod!=""} > 0'
"""A card that idles lowers its clock by itself, and a balancer may well leave one of two idle."""
INDICATORS = (
    Indicator("card", "hottest card in use, °C", "gpu", 'max(DCGM_FI_DEV_GPU_TEMP{pod!=""})', 20),
    Indicator("card", "slowest clock at work, MHz", "gpu", f"min(DCGM_FI_DEV_SM_CLOCK and ({AT_WORK}))", 500),
    Indicator("card", "cards that report", "gpu", "count(DCGM_FI_DEV_GPU_TEMP)", 0.5, 0),
    Indicator("kubernetes", "ready model servers", "gpu", 'count(up{job="ready-endpoints"}) or vector(0)', 0.5, 0),
    Indicator("serving", "requests that wait", "gpu", "sum(vllm:num_requests_waiting)", 1),
    Indicator("serving", "tokens per second", "gpu", f"sum(rate(vllm:generation_tokens_total[{WINDOW}]))", 20),
    Indicator("serving", "time to first token p95, s", "gpu", _p95("vllm:time_to_first_token_seconds"), 0.2),
    Indicator("mesh", "successes per second", "app", _calls('classification="success"'), 0.5),
    Indicator("mesh", "failures per second", "app", _calls('classification="failure"'), 0.1),
    Indicator("mesh", "4xx per second", "app", _calls('status_code=~"4.."'), 0.1),
    Indicator("mesh", "latency p95, ms", "app", _p95("response_latency_ms", f"{{{CALLS}}}"), 300),
    Indicator("network", "round trip to the gateway, ms", "app", "max(gateway_latency)", 30),
)


def table(servers: Mapping[str, Prometheus], phases: Phases) -> pd.DataFrame:
    """A row per indicator with its median in each phase (columns: ``COLUMNS``)."""
    rows = []
    for indicator in INDICATORS:
        steady, fault, recovery = _medians(servers[indicator.cluster], indicator, phases)
        rows.append((indicator.plane, indicator.what, steady, fault, recovery, indicator.moved(steady, fault)))
    return pd.DataFrame(rows, columns=COLUMNS).round(2)


def _medians(server: Prometheus, indicator: Indicator, phases: Phases) -> tuple[float, float, float]:
    try:
        frame = server.query(indicator.promql, last=phases.age, step=1)
    except LabError:
        # A Prometheus that does not answer is itself a finding: its indicators have no values.
        return float("nan"), float("nan"), float("nan")
    if frame.empty:
        return float("nan"), float("nan"), float("nan")
    series = frame.iloc[:, 0]
    found = [series.loc[start + settling(end - start) : end] for start, end in phases.spans]
    # Most of a phase without a value means that there was none.
    steady, fault, recovery = (float(part.median()) if part.notna().mean() > 0.5 else float("nan") for part in found)
    return steady, fault, recovery


def settling(length: pd.Timedelta) -> pd.Timedelta:
    """How much of a phase is left out at its beginning.

    >>> [settling(pd.Timedelta(seconds=n)).total_seconds() for n in (20, 10, 5)]
    [8.0, 5.0, 4.0]
    """
    return min(max(length * SETTLED, AT_LEAST), length * AT_MOST)


def now(servers: Mapping[str, Prometheus]) -> pd.Series:
    """The present value of every indicator by its name; NaN where there is none."""
    return pd.Series({row.what: _value(servers[row.cluster], row.promql) for row in INDICATORS}, dtype="float64")


def glance(servers: Mapping[str, Prometheus], before: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every plane at one look: a row per indicator with its value now. With ``before``, an earlier glance, also what moved."""
    values = now(servers)
    frame = pd.DataFrame({"plane": [row.plane for row in INDICATORS], "now": values.to_list()}, index=values.index)
    if before is not None:
        frame.insert(1, "before", before["now"])
        earlier = dict(zip(before.index, before["now"].astype("float64"), strict=True))
        frame["moved"] = [row.moved(earlier[row.what], float(values[row.what])) for row in INDICATORS]
    return frame.round(2)


def _value(server: Prometheus, promql: str) -> float:
    try:
        found = server.instant(promql)
    except LabError:
        return float("nan")
    return float(found.iloc[0]) if len(found) else float("nan")
