"""Summarises records: counts, rates, and quantiles from HDR histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from labs.pods.loadgen.record import Record
from labs.pods.loadgen.slo import Slo

HOUR_US = 3_600_000_000
QUANTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}


def histogram(seconds: Iterable[float] = ()) -> HdrHistogram:
    """An HDR histogram in microseconds, 1 µs to 1 h with 3 digits.

    Values outside are clamped to the nearest end: ``record_value`` would silently drop them.
    """
    result = HdrHistogram(1, HOUR_US, 3)
    for value in seconds:
        result.record_value(min(HOUR_US, max(1, round(value * 1e6))))
    return result


def quantiles(values: HdrHistogram, names: Iterable[str] = QUANTILES) -> dict[str, float] | None:
    """Quantiles in seconds, or None if nothing was recorded."""
    if not values.get_total_count():
        return None
    return {name: round(values.get_value_at_percentile(QUANTILES[name]) / 1e6, 6) for name in names}


@dataclass
class Summary:
    """Takes records one by one; ``line`` is the last line of the output."""

    offered_rps: float | None
    """The schedule's rate; None for a closed loop, whose rate depends on the answers."""
    slo: Slo | None = None
    latency: HdrHistogram = field(default_factory=histogram)
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.latency.record_value(min(HOUR_US, max(1, round(record.latency * 1e6))))

    def line(self, loop_lag: HdrHistogram) -> dict[str, Any]:
        good = [record for record in self.records if record.ok]
        span = max((r.end for r in self.records), default=0.0) - min((r.intended for r in self.records), default=0.0)
        ttft = histogram(r.ttft for r in self.records if r.ttft is not None)
        itl = histogram(gap for record in self.records for gap in record.itl)
        latency = quantiles(self.latency)
        if latency:
            latency["mean"] = round(sum(r.latency for r in self.records) / len(self.records), 6)
        return {
            "kind": "summary",
            "requests": len(self.records),
            "ok": len(good),
            "failed": len(self.records) - len(good),
            "timeouts": sum(record.error == "timeout" for record in self.records),
            "offered_rps": self.offered_rps,
            "achieved_rps": round(len(good) / span, 3) if span else 0.0,
            "seconds": round(span, 3),
            **self._goodput(span),
            "latency": latency,
            "ttft": quantiles(ttft),
            "tpot": quantiles(histogram(r.tpot for r in self.records if r.tpot is not None)),
            "itl": quantiles(itl),
            "tokens": sum(record.tokens for record in good),
            "tokens_per_second": round(sum(record.tokens for record in good) / span, 3) if span else 0.0,
            "send_lag": quantiles(histogram(record.lag for record in self.records), ("p50", "p99", "max")),
            "loop_lag": quantiles(loop_lag, ("p99", "max")),
            "errors": dict(Counter(record.error for record in self.records if record.error)),
            "by_pod": dict(Counter(record.pod for record in good if record.pod)),
            "hdr": {"latency": _packed(self.latency), "ttft": _packed(ttft), "itl": _packed(itl)},
        }

    def _goodput(self, span: float) -> dict[str, Any]:
        """How many answers kept the SLO, per second and as a share of all requests."""
        if self.slo is None:
            return {}
        met = sum(map(self.slo.met, self.records))
        goodput = {
            "slo": self.slo.limits,
            "rps": round(met / span, 3) if span else 0.0,
            "share": round(met / len(self.records), 4) if self.records else None,
        }
        return {"goodput": goodput}


def _packed(values: HdrHistogram) -> str:
    return str(values.encode().decode())


def merge(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One summary of several pods that sent at the same time: counts and rates add up, and so do the histograms."""
    added = {"requests", "ok", "failed", "timeouts", "achieved_rps", "tokens", "tokens_per_second"}
    result: dict[str, Any] = {"kind": "summary", "pods": len(summaries)}
    result |= {name: round(sum(summary[name] for summary in summaries), 3) for name in sorted(added)}
    offered = [summary["offered_rps"] for summary in summaries]
    result["offered_rps"] = None if None in offered else sum(offered)
    for name in ("errors", "by_pod"):
        result[name] = dict(sum((Counter(summary[name]) for summary in summaries), Counter()))
    packed = {}
    for name in ("latency", "ttft", "itl"):
        together = histogram()
        for summary in summaries:
            together.decode_and_add(summary["hdr"][name].encode())
        result[name], packed[name] = quantiles(together), _packed(together)
    return result | {"hdr": packed}
