"""What a load measured: one record per request, as a DataFrame. The records: ``labs/pods/loadgen/README.md``.

Latency counts from the *intended* send time, so a stalled server cannot hide the requests that would have arrived meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from labs.telemetry import tables
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.windows import Window

TIMES = ("intended", "sent", "first_byte", "end")
DURATIONS = ("latency", "ttft", "tpot", "lag", "model_seconds")


class LoadResult:
    """``records``: a row per request, indexed by intended send time (UTC), in order; durations in seconds."""

    def __init__(self, text: str, plan: LoadPlan, windows: Callable[[], Sequence[Window]] = lambda: ()) -> None:
        self.plan, self._windows = plan, windows
        lines = _lines(text)
        self.totals: dict[str, Any] = next((line for line in lines if line["kind"] == "summary"), {})
        self.records = _records([line for line in lines if line["kind"] == "request"])

    def since(self, moment: float) -> LoadResult:
        """The same result with only the requests due from ``moment`` (Unix time in seconds) on."""
        part = LoadResult("", self.plan, self._windows)
        part.totals = self.totals
        part.records = self.records.loc[pd.Timestamp(moment, unit="s", tz="UTC") :]
        return part

    def summary(self) -> pd.DataFrame:
        """One row: rates, errors and latency percentiles in ms. The latency of a request that timed out is the timeout."""
        records = self.records
        row: dict[str, float] = {
            "requests": len(records),
            "offered/s": float("nan") if self.plan.users else float(self.totals.get("offered_rps", self.plan.rps)),
            "achieved/s": float(self.totals.get("achieved_rps", float("nan"))),
            "errors %": 100 * float((~records["ok"]).mean()) if len(records) else float("nan"),
        }
        if "goodput" in self.totals:
            row |= {"good/s": self.totals["goodput"]["rps"], "good %": 100 * (self.totals["goodput"]["share"] or 0)}
        for column, name in (("latency", ""), ("ttft", "ttft ")):
            if records[column].notna().any():
                row |= {f"{name}p{p} ms": 1000 * float(records[column].quantile(p / 100)) for p in (50, 95, 99)}
        return pd.DataFrame([row], index=pd.Index([self.plan.target], name="target")).round(1)

    def plot(self, *, title: str = "", reading: str = "", shade: Mapping[str, tuple[float, float]] | None = None) -> Chart:
        """Every request by intended send time and latency, failures in a different colour, with active faults shaded.

        ``shade`` shades more: a label, and when it begins and ends (Unix times in seconds).
        """
        latency, ok = self.records["latency"], self.records["ok"]
        frame = pd.DataFrame({"answered": latency.where(ok), "failed": latency.where(~ok)})
        panel = Panel(frame, "latency from the intended send time", "s", points=True, empty="no request was sent")
        heading = title or f"{self.plan.target}: {self.plan.offered}"
        own = [
            Window(label, *(datetime.fromtimestamp(moment, UTC) for moment in edges)) for label, edges in (shade or {}).items()
        ]
        return draw([panel], title=heading, reading=reading, windows=[*self._windows(), *own])

    def _repr_html_(self) -> str:
        return str(tables.html(self.summary(), f"Summary of the load on {self.plan.target}"))

    def __repr__(self) -> str:
        return self.summary().to_string()


def _lines(text: str) -> list[dict[str, Any]]:
    # Logs also contain other lines (a proxy's messages, a warning on stderr).
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"kind"')]


def _records(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ["id", *TIMES, *DURATIONS, "status", "ok", "error", "cluster", "pod", "node", "gpu", "tokens"]
    frame = pd.DataFrame(rows, columns=[*columns, *({"itl"} if rows and "itl" in rows[0] else ())])
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
    frame = frame.astype({name: "float64" for name in DURATIONS} | {"ok": "bool"})
    return frame.sort_values("intended").set_index("intended")
