"""Prometheus' HTTP API, as DataFrames.

The API: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

import pandas as pd

from labs.errors import NotRunning, QueryError, TimedOut, UsageError
from labs.waiting import attempts

POINTS = 240
"""Approximate number of points per series when no step is given: a chart at notebook width shows no more."""
TIMEOUT = 15.0
"""Seconds Prometheus may take to answer."""
RETRY_FOR = 5.0
"""Seconds for which a query is repeated if the connection is refused or reset: a Prometheus that is busy for a moment leaves
its Service's endpoints, and every wait for a symptom asks twice a second."""
RETRY_EVERY = 0.5
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_POSITION = re.compile(r"\b(\d+):(\d+): ")

Labels = dict[str, str]


def seconds(duration: str | float) -> float:
    """Seconds in a duration as PromQL writes it; a number is already in seconds.

    >>> seconds("1m30s")
    90.0

    Raises:
        UsageError: it is neither a positive number nor such a duration.
    """
    if isinstance(duration, str):
        parts = _DURATION.findall(duration)
        whole = "".join(number + unit for number, unit in parts) == duration
        value = sum(float(number) * UNITS[unit] for number, unit in parts) if whole else 0.0
    else:
        value = float(duration)
    if value <= 0:
        raise UsageError(f"expected a duration such as 30s, 5m or 1h30m; found {duration!r}")
    return value


class Prometheus:
    """One Prometheus server. ``cluster`` is the cluster's name in messages and frames."""

    def __init__(self, url: str, cluster: str) -> None:
        self.url = url.rstrip("/")
        self.cluster = cluster
        # HTTP_PROXY is for the programs in pods; this machine reaches Prometheus directly.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def query(self, promql: str, *, last: str | float = "5m", step: str | float | None = None) -> pd.DataFrame:
        """The series of ``promql`` over the time span ``last``: indexed by time (UTC), a column per series.

        NaN: a series had no value. Columns are named by the labels in which they differ; ``attrs`` has ``query``, ``cluster``
        and ``labels`` (column name → all labels). ``step`` is the distance between rows; the default gives about 240 rows.

        Raises:
            QueryError: Prometheus rejected the query; the message is Prometheus's own, with the place marked.
            NotRunning: it does not answer.
        """
        span = seconds(last)
        gap = seconds(step) if step is not None else max(1.0, round(span / POINTS))
        # On whole steps, so that the rows of two queries have the same times and can be drawn in one chart.
        end = time.time() // gap * gap
        result = self._get("query_range", promql, {"start": f"{end - span:.3f}", "end": f"{end:.3f}", "step": f"{gap:g}"})
        frame = _frame(result["result"], promql)
        frame.attrs |= {"query": promql, "cluster": self.cluster}
        return frame

    def instant(self, promql: str, *, at: float | None = None) -> pd.Series:
        """The values of ``promql`` now, one per series, named like the columns of ``query``; empty if nothing matches.

        ``at``: Unix time in seconds to use instead of now.

        Raises:
            QueryError, NotRunning: as ``query``.
        """
        found = self._get("query", promql, {} if at is None else {"time": f"{at:.3f}"})
        if found["resultType"] in ("scalar", "string"):
            return pd.Series({promql: float(found["result"][1])}, name="value")
        names = column_names([row["metric"] for row in found["result"]], promql)
        values = [float(row["value"][1]) for row in found["result"]]
        series = pd.Series(values, index=pd.Index(names, dtype="object"), name="value", dtype="float64")
        series.attrs["labels"] = {name: row["metric"] for name, row in zip(names, found["result"], strict=True)}
        return series

    def samples(self, promql: str) -> list[tuple[Labels, float]]:
        """The current vector of ``promql`` as plain labels and values, for callers that poll twice a second.

        Raises:
            QueryError, NotRunning: as ``query``.
        """
        return [(row["metric"], float(row["value"][1])) for row in self._get("query", promql, {})["result"]]

    def wait_until(self, promql: str, *, timeout: float = 60, every: float = 0.5) -> pd.Series:
        """Repeat ``promql`` until it has a result, and return that. The usual query is a comparison: ``max(up) > 0``.

        Raises:
            TimedOut: still no result after ``timeout`` seconds.
        """
        for _ in attempts(timeout, every):
            # At a whole second, where the rows of a ``query`` end, so that the next ``query`` includes what this waited for.
            found = self.instant(promql, at=time.time() // 1)
            if not found.empty:
                return found
        raise TimedOut(
            f"after {timeout:g} s nothing matches {promql!r} in cluster {self.cluster}",
            fix="the same query without its comparison, to see the value",
        )

    def _get(self, call: str, promql: str, parameters: dict[str, str]) -> dict[str, Any]:
        body = urllib.parse.urlencode({"query": promql, **parameters}).encode()
        for spent in attempts(RETRY_FOR, RETRY_EVERY):
            try:
                return self._ask(call, body)
            except urllib.error.HTTPError as error:
                raise _refused(promql, error.read().decode(errors="replace")) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                if spent >= RETRY_FOR or not _is_connection_error(error):
                    raise NotRunning(
                        f"the Prometheus of cluster {self.cluster} does not answer at {self.url}: {error}",
                        fix=f"kubectl --context {self.cluster} -n monitoring get pods",
                    ) from error
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, call: str, body: bytes) -> dict[str, Any]:
        with self._opener.open(f"{self.url}/api/v1/{call}", data=body, timeout=TIMEOUT) as response:
            answer: dict[str, dict[str, Any]] = json.load(response)
            return answer["data"]


def _is_connection_error(error: BaseException) -> bool:
    """Whether nobody took the request, or the connection ended under it; a timeout is none."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, ConnectionError | http.client.HTTPException)


def column_names(metrics: Sequence[Labels], promql: str) -> list[str]:
    """A readable name per series: the values of the labels in which they differ.

    One series alone is named by its metric, by its only label (``sum by (pod) (…)``), or by the query.

    >>> column_names([{"__name__": "up", "pod": "a", "job": "x"}, {"__name__": "up", "pod": "b", "job": "x"}], "up")
    ['a', 'b']
    """
    if len(metrics) == 1:
        (metric,) = metrics
        return [metric.get("__name__") or (_name(metric, list(metric)) if len(metric) == 1 else promql)]
    keys = sorted({key for metric in metrics for key in metric})
    differing = [key for key in keys if len({metric.get(key) for metric in metrics}) > 1]
    # A pod's name or a GPU's ID already implies its address and its node: say one thing, not five.
    for short in (["pod"], ["gpu"], ["node"], ["gpu", "hostname"], ["gpu", "Hostname"], ["gpu", "node"]):
        if set(short) <= set(differing) and len({tuple(metric.get(key) for key in short) for metric in metrics}) == len(metrics):
            differing = short
            break
    return [_name(metric, differing) for metric in metrics]


def _name(metric: Labels, differing: list[str]) -> str:
    parts = [(key, metric[key]) for key in differing if metric.get(key)]
    if len(differing) == 1 and differing != ["gpu"]:
        return parts[0][1] if parts else "(none)"
    return ", ".join(f"{key} {value}" if key != "__name__" else value for key, value in parts) or "(none)"


def _frame(rows: list[dict[str, Any]], promql: str) -> pd.DataFrame:
    names = column_names([row["metric"] for row in rows], promql)
    columns = {name: _series(row["values"]) for name, row in zip(names, rows, strict=True)}
    frame = pd.DataFrame(columns, index=None if columns else _index([]), dtype="float64")
    frame.index.name = "time"
    frame = frame.sort_index()
    frame.attrs["labels"] = {name: row["metric"] for name, row in zip(names, rows, strict=True)}
    return frame


def _series(values: list[tuple[float, str]]) -> pd.Series:
    return pd.Series([float(value) for _, value in values], index=_index([stamp for stamp, _ in values]))


def _index(stamps: list[float]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime([round(stamp * 1000) for stamp in stamps], unit="ms", utc=True), name="time")


def _refused(promql: str, body: str) -> QueryError:
    try:
        message = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        message = body.strip() or "no reason given"
    return QueryError(f"Prometheus refused the query: {message}{_marked(promql, message)}")


def _marked(promql: str, message: str) -> str:
    """The line of the query that the message refers to, with a caret under the place."""
    position = _POSITION.search(message)
    lines = promql.splitlines()
    if not position or not 1 <= int(position[1]) <= len(lines):
        return ""
    return f"\n    {lines[int(position[1]) - 1]}\n    {' ' * (int(position[2]) - 1)}^"
