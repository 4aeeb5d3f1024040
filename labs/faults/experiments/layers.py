"""What every layer shows in each phase of an experiment: a few numbers per layer, and whether they moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from labs.errors import LabError
from labs.faults.experiments.phases import Phases
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.timeline import CALLS
from labs.topology import PlacedByRole, Role

WINDOW = "5s"
"""Window of every rate: five scrapes, so that a snapshot five seconds after a repair no longer includes the failure."""
SETTLED, AT_LEAST, AT_MOST = 0.4, pd.Timedelta(WINDOW), 0.8
"""The medians skip the start of each phase, because rates and temperatures need time to settle: this share of the phase, at least
one window, at most four fifths of the phase."""
COLUMNS = ["layer", "indicator", "steady", "fault", "recovery", "moved"]


@dataclass(frozen=True)
class Indicator(PlacedByRole):
    """One number of one layer. It moved if it changed by more than ``share`` of its steady value and by more than ``least``."""

    layer: str
    name: str
    role: Role
    promql: str
    least: float
    share: float = 0.3

    def moved(self, steady: float, fault: float) -> str:
        """``"up"``, ``"down"``, ``"-"`` (unchanged), ``"gone"`` or ``"new"`` (no value in one of the two)."""
        if pd.isna(steady) or pd.isna(fault):
            return "-" if pd.isna(steady) and pd.isna(fault) else "gone" if pd.isna(fault) else "new"
        if abs(fault - steady) <= max(self.least, self.share * abs(steady)):
            return "-"
        return "up" if fault > steady else "down"


def _p95(metric: str, selector: str = "") -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({metric}_bucket{selector}[{WINDOW}])))"


def _calls(matchers: str) -> str:
    # "or vector(0)": a status that has not occurred yet has no series, but its rate is zero all the same.
    return f"sum(rate(response_total{{{CALLS},{matchers}}}[{WINDOW}])) or vector(0)"


ANSWERED = f'{{{CALLS},status_code="200"}}'
"""Refused calls take no time: counted with the answers, they would make a failing service look fast."""
PROBED = 'increase({__name__=~"gateway_probes(_total)?",probe_successful="true"}[8s]) > 0'
"""There is a probe every three seconds. Linkerd's counter has no ``_total``, the stand-in's has."""
ROUND_TRIP = f"max(quantile_over_time(0.5, gateway_latency[10s]) and on (target_cluster_name) ({PROBED}))"
"""The median of the last few probes (a busy machine delays one now and then), as long as probes come back: the gauge itself keeps
the latency of the last one that did."""
BUSY = 'DCGM_FI_DEV_GPU_UTIL{pod!=""} > 0'
"""Only GPUs that are working: an idle one lowers its own clock, and a balancer may leave one of two idle."""
INDICATORS = (
    Indicator("gpu", "hottest GPU in use, °C", "gpus", 'max(DCGM_FI_DEV_GPU_TEMP{pod!=""})', 20),
    Indicator("gpu", "slowest busy clock, MHz", "gpus", f"min(DCGM_FI_DEV_SM_CLOCK and ({BUSY}))", 500),
    Indicator("gpu", "GPUs reporting", "gpus", "count(DCGM_FI_DEV_GPU_TEMP)", 0.5, 0),
    Indicator("kubernetes", "ready model servers", "gpus", 'count(up{job="ready-endpoints"}) or vector(0)', 0.5, 0),
    Indicator("serving", "requests waiting", "gpus", "sum(vllm:num_requests_waiting)", 1),
    Indicator("serving", "tokens per second", "gpus", f"sum(rate(vllm:generation_tokens_total[{WINDOW}]))", 20),
    Indicator("serving", "time to first token p95, s", "gpus", _p95("vllm:time_to_first_token_seconds"), 0.2),
    Indicator("mesh", "successes per second", "users", _calls('classification="success"'), 0.5),
    Indicator("mesh", "failures per second", "users", _calls('classification="failure"'), 0.1),
    Indicator("mesh", "4xx per second", "users", _calls('status_code=~"4.."'), 0.1),
    Indicator("mesh", "latency p95, ms", "users", _p95("response_latency_ms", ANSWERED), 300),
    Indicator("network", "round trip to the gateway, ms", "users", ROUND_TRIP, 30),
)


def table(servers: Mapping[str, Prometheus], phases: Phases) -> pd.DataFrame:
    """A row per indicator with its median in each phase (columns: ``COLUMNS``)."""
    rows = []
    for indicator in INDICATORS:
        steady, fault, recovery = _medians(servers[indicator.cluster], indicator, phases)
        rows.append((indicator.layer, indicator.name, steady, fault, recovery, indicator.moved(steady, fault)))
    return pd.DataFrame(rows, columns=COLUMNS).round(2)


def _medians(server: Prometheus, indicator: Indicator, phases: Phases) -> tuple[float, float, float]:
    try:
        frame = server.query(indicator.promql, last=math.ceil(phases.age), step=1)
    except LabError:
        # A Prometheus that does not answer is a finding too: its indicators have no values.
        return float("nan"), float("nan"), float("nan")
    if frame.empty:
        return float("nan"), float("nan"), float("nan")
    series = frame.iloc[:, 0]
    found = [series.loc[start + settling(end - start) : end] for start, end in phases.spans]
    # A phase with values in less than half of its samples counts as a phase without a value.
    steady, fault, recovery = (float(part.median()) if part.notna().mean() > 0.5 else float("nan") for part in found)
    return steady, fault, recovery


def settling(length: pd.Timedelta) -> pd.Timedelta:
    """How much of the start of a phase the medians skip.

    >>> [settling(pd.Timedelta(seconds=n)).total_seconds() for n in (20, 10, 5)]
    [8.0, 5.0, 4.0]
    """
    return min(max(length * SETTLED, AT_LEAST), length * AT_MOST)


def now(servers: Mapping[str, Prometheus]) -> pd.Series:
    """The current value of every indicator, by name; NaN if it has none."""
    return pd.Series({row.name: _value(servers[row.cluster], row.promql) for row in INDICATORS}, dtype="float64")


def snapshot(servers: Mapping[str, Prometheus], before: pd.DataFrame | None = None) -> pd.DataFrame:
    """A row per indicator with its current value; with ``before``, an earlier snapshot, also what moved since."""
    values = now(servers)
    frame = pd.DataFrame({"layer": [row.layer for row in INDICATORS], "now": values.to_list()}, index=values.index)
    if before is not None:
        frame.insert(1, "before", before["now"])
        earlier = dict(zip(before.index, before["now"].astype("float64"), strict=True))
        frame["moved"] = [row.moved(earlier[row.name], float(values[row.name])) for row in INDICATORS]
    return frame.round(2)


def _value(server: Prometheus, promql: str) -> float:
    try:
        found = server.instant(promql)
    except LabError:
        return float("nan")
    return float(found.iloc[0]) if len(found) else float("nan")
