"""Capacity: a ramp against a fleet that gives so much and no more."""

from __future__ import annotations

import json
import time
from typing import Any

import pandas as pd
import pytest

from labs.errors import UsageError
from labs.pods.loadgen import arrivals
from labs.telemetry.capacity import WAITING, WINDOW, draw, given, measure
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult

TOKENS, SECONDS = 64, 20.0
LIMIT = 440.0
"""Tokens a second the fleet gives at most."""


def ramp(last: float, began: float, limit: float = LIMIT) -> LoadResult:
    """A ramp from 0 to ``last`` requests a second: an answer waits for what was asked beyond ``limit`` before it."""
    rows, backlog, before = [], 0.0, 0.0
    for id, due in enumerate(arrivals.ramp(0, last, SECONDS)):
        backlog = max(0.0, backlog - (due - before) * limit) + TOKENS
        before = due
        wait = max(0.0, backlog - TOKENS) / limit
        moment = began + due
        rows.append(
            {
                "kind": "request",
                "id": id,
                "intended": moment,
                "sent": moment,
                "first_byte": moment + wait + 0.05,
                "end": moment + wait + 1.2,
                "latency": wait + 1.2,
                "ttft": wait + 0.05,
                "lag": 0.0,
                "status": 200,
                "ok": True,
                "tokens": TOKENS,
                "error": None,
                "pod": "m",
                "tpot": 0.018,
            }
        )
    return LoadResult("\n".join(map(json.dumps, rows)), LoadPlan("model", rps=last, seconds=SECONDS, slo="ttft=0.5"))


class FakePrometheus:
    """A fleet that gives what is asked up to ``limit`` and queues the rest, as its counters would say."""

    def __init__(self, last: float, began: float, limit: float = LIMIT) -> None:
        self.last, self.began, self.limit = last, began, limit

    def query(self, promql: str, *, last: float, step: float) -> pd.DataFrame:
        end = int(time.time())
        index = pd.to_datetime(range(end - int(last), end + 1), unit="s", utc=True)
        values = [self.waiting(at) if promql == WAITING else self.given(at) for at in (stamp.timestamp() for stamp in index)]
        return pd.DataFrame({promql: values}, index=index)

    def asked(self, at: float) -> float:
        middle = min(max(at - self.began, 0.0), SECONDS)
        return self.last * middle / SECONDS * TOKENS

    def given(self, at: float) -> float:
        return min(self.limit, self.asked(at)) if self.began <= at <= self.began + SECONDS else 0.0

    def waiting(self, at: float) -> float:
        full = self.limit / TOKENS / self.last * SECONDS
        return max(0.0, at - self.began - full) * 3 if at <= self.began + SECONDS else 0.0


@pytest.fixture
def began() -> float:
    return float(int(time.time()) - 40)


def measured(last: float, began: float, limit: float = LIMIT) -> Any:
    server: Any = FakePrometheus(last, began, limit)
    return measure(ramp(last, began, limit), server)


def test_the_knee_is_where_the_queue_begins_and_the_rest_is_what_it_gives(began: float) -> None:
    found = measured(12, began)
    assert found.tokens_per_second == pytest.approx(LIMIT, rel=0.02)
    assert found.knee == pytest.approx(LIMIT / TOKENS, abs=0.7)
    assert LIMIT / TOKENS - 0.5 < found.kept_until < 10
    assert found.curve["asked"].is_monotonic_increasing
    assert found.curve["asked"].iloc[-1] == pytest.approx(TOKENS * 12 * (1 - WINDOW / 2 / SECONDS), rel=0.1)


def test_tokens_are_looked_for_when_they_come_not_when_they_are_asked_for() -> None:
    assert given(0.6) == "sum(rate(vllm:generation_tokens_total[4s] offset -2600ms))"


def test_one_scrape_that_finds_nobody_waiting_does_not_move_the_knee(began: float) -> None:
    found = measured(12, began)
    knee = found.knee
    found.curve.iloc[-4, found.curve.columns.get_loc("waiting")] = 0.0
    assert found.knee == knee


def test_without_a_queue_there_is_no_knee(began: float) -> None:
    found = measured(4, began)
    assert found.knee != found.knee and found.full.empty
    assert found.tokens_per_second == pytest.approx(found.curve["given"].max())
    assert found.kept_until == found.curve["rate"].max()


def test_the_chart_says_in_words_what_it_shows(began: float) -> None:
    chart = draw({"one GPU": measured(12, began), "two GPUs": measured(20, began, 2 * LIMIT)}, reading="Twice as much.")
    assert chart.png.startswith(b"\x89PNG") and "Twice as much." in chart.alt
    assert "one GPU rises to 440" in chart.alt and "two GPUs: queue from" in chart.alt
    assert list(chart.table.index) == ["one GPU", "two GPUs"] and "tokens/s" in chart.table
    assert chart.table.loc["two GPUs", "tokens/s"] == pytest.approx(2 * LIMIT, rel=0.05)


def test_a_load_that_nobody_answered_says_so(began: float) -> None:
    load = ramp(4, began)
    load.records["ok"] = False
    server: Any = FakePrometheus(4, began)
    with pytest.raises(UsageError, match="none was answered"):
        measure(load, server)
