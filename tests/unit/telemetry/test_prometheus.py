"""Queries against a fake Prometheus: frames, names, errors."""

from __future__ import annotations

import http.client
import math
import urllib.error
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import NotRunning, QueryError, TimedOut, UsageError
from labs.telemetry import prometheus
from labs.telemetry.prometheus import Prometheus, column_names, seconds

REFUSAL = {
    "status": "error",
    "errorType": "bad_data",
    "error": 'invalid parameter "query": 1:32: parse error: unclosed left parenthesis',
}
"""Recorded from Prometheus 3.16.0."""


def test_a_frame_has_a_utc_index_and_a_column_per_series(fake: Any) -> None:
    fake.matrix(
        ({"__name__": "up", "job": "x", "pod": "a"}, [(10.0, "1"), (11.0, "0")]),
        ({"__name__": "up", "job": "x", "pod": "b"}, [(11.0, "1"), (12.0, "NaN")]),
    )
    frame = Prometheus(fake.url, "gpu").query("up", last="10s")
    assert list(frame.columns) == ["a", "b"]
    assert isinstance(frame.index.dtype, pd.DatetimeTZDtype) and frame.index.name == "time"
    assert list(frame.index) == list(pd.to_datetime([10, 11, 12], unit="s", utc=True))
    assert frame["a"].tolist()[:2] == [1.0, 0.0] and math.isnan(frame["b"].iloc[0]) and math.isnan(frame["a"].iloc[2])
    assert frame.attrs["labels"]["b"]["pod"] == "b" and frame.attrs["cluster"] == "gpu"


def test_no_series_is_an_empty_frame_with_a_time_index(fake: Any) -> None:
    fake.matrix()
    frame = Prometheus(fake.url, "app").query("nothing")
    assert frame.empty and isinstance(frame.index, pd.DatetimeIndex) and str(frame.index.tz) == "UTC"


@pytest.mark.parametrize(
    ("last", "step", "asked"), [("1m", None, "1"), ("1h", None, "15"), (600, None, "2"), ("1h", "30s", "30")]
)
def test_the_step_follows_the_span_unless_it_is_given(fake: Any, last: str, step: str | None, asked: str) -> None:
    fake.matrix()
    Prometheus(fake.url, "app").query("up", last=last, step=step)
    request = fake.asked[0]
    assert request["call"] == "query_range" and request["step"] == asked
    assert float(request["end"]) % float(asked) == 0, "or the rows of two queries would not line up"
    assert float(request["end"]) - float(request["start"]) == pytest.approx(seconds(last), abs=0.01)


def test_refused_promql_is_told_in_prometheus_own_words_with_the_place_marked(fake: Any) -> None:
    fake.answers.append((400, REFUSAL))
    query = "sum(rate(response_total[10s]), x"
    with pytest.raises(QueryError) as caught:
        Prometheus(fake.url, "app").query(query)
    text = str(caught.value)
    assert "unclosed left parenthesis" in text
    line, caret = text.splitlines()[1:3]
    assert line.strip() == query and caret.index("^") - line.index("sum") == 31


@pytest.fixture
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "RETRY_FOR", 0.3)
    monkeypatch.setattr(prometheus, "RETRY_EVERY", 0.05)


def asks(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[str]:
    """The first attempts end in ``errors``, the next one in an answer; the calls that were made."""
    calls: list[str] = []

    def ask(_self: Prometheus, call: str, _body: bytes) -> dict[str, Any]:
        calls.append(call)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return {"resultType": "vector", "result": []}

    monkeypatch.setattr(Prometheus, "_ask", ask)
    return calls


RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    "error", [RESET, urllib.error.URLError(ConnectionRefusedError(111, "refused")), http.client.RemoteDisconnected("no answer")]
)
def test_a_connection_that_breaks_is_tried_again(monkeypatch: pytest.MonkeyPatch, short_retries: None, error: Exception) -> None:
    calls = asks(monkeypatch, error, error)
    assert Prometheus("http://x", "app").instant("up").empty and len(calls) == 3


@pytest.mark.parametrize("error", [TimeoutError("timed out"), urllib.error.URLError(TimeoutError()), ValueError("not JSON")])
def test_what_took_long_or_is_no_answer_is_not(monkeypatch: pytest.MonkeyPatch, short_retries: None, error: Exception) -> None:
    calls = asks(monkeypatch, error)
    with pytest.raises(NotRunning):
        Prometheus("http://x", "app").instant("up")
    assert len(calls) == 1


def test_one_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch, short_retries: None) -> None:
    calls = asks(monkeypatch, *[RESET] * 1000)
    with pytest.raises(NotRunning, match="reset by peer"):
        Prometheus("http://x", "app").instant("up")
    assert 2 <= len(calls) < 20


def test_a_prometheus_that_does_not_answer_is_named(fake: Any, short_retries: None) -> None:
    with pytest.raises(NotRunning, match="Prometheus of cluster app does not answer") as caught:
        Prometheus("http://127.0.0.1:9", "app").query("up")
    assert "--context app -n monitoring" in caught.value.fix


def test_samples_come_with_all_their_labels(fake: Any) -> None:
    fake.vector(({"__name__": "up", "pod": "a"}, "1"), ({"__name__": "up", "pod": "b"}, "NaN"))
    (first, one), (second, other) = Prometheus(fake.url, "gpu").samples("up")
    assert first == {"__name__": "up", "pod": "a"} and one == 1.0 and second["pod"] == "b" and other != other
    assert fake.asked[0]["call"] == "query" and fake.asked[0]["query"] == "up"


def test_waiting_ends_with_the_first_result(fake: Any) -> None:
    fake.vector()
    fake.vector()
    fake.vector(({"gpu": "0"}, "91"))
    found = Prometheus(fake.url, "gpu").wait_until("temperature > 90", timeout=5, every=0.01)
    assert found.tolist() == [91.0] and len(fake.asked) == 3


def test_what_was_waited_for_is_in_the_next_query(fake: Any) -> None:
    fake.vector(({"gpu": "0"}, "91"))
    fake.matrix(({"gpu": "0"}, [(1.0, "91")]))
    server = Prometheus(fake.url, "gpu")
    server.wait_until("temperature > 90")
    server.query("temperature", last="15s")
    waited, asked = fake.asked
    assert float(waited["time"]) <= float(asked["end"])


def test_waiting_in_vain_says_for_what(fake: Any) -> None:
    fake.vector()
    with pytest.raises(TimedOut, match=r"nothing matches 'temperature > 90' in cluster gpu"):
        Prometheus(fake.url, "gpu").wait_until("temperature > 90", timeout=0.05, every=0.01)


def test_names_leave_out_what_all_series_share() -> None:
    both = [{"job": "g", "gpu": "0", "node": "n", "uuid": "a"}, {"job": "g", "gpu": "1", "node": "n", "uuid": "b"}]
    assert column_names(both, "q") == ["gpu 0", "gpu 1"]
    two_nodes = [{"gpu": "0", "node": "n1", "uuid": "a"}, {"gpu": "0", "node": "n2", "uuid": "b"}]
    assert column_names(two_nodes, "q") == ["n1", "n2"]
    assert column_names([{}], "sum(up)") == ["sum(up)"]
    assert column_names([{"classification": "success"}], "sum by (classification) (x)") == ["success"]
    assert column_names([{"gpu": "0"}], "q") == ["gpu 0"]
    assert column_names([{"job": "g", "gpu": "0"}], "rate(x[5s])") == ["rate(x[5s])"]


@given(st.lists(st.dictionaries(st.sampled_from(["pod", "gpu", "node", "job"]), st.sampled_from("abc"), min_size=1), max_size=8))
def test_different_series_never_share_a_name(metrics: list[dict[str, str]]) -> None:
    distinct = [dict(items) for items in {tuple(sorted(metric.items())) for metric in metrics}]
    names = column_names(distinct, "q")
    assert len(set(names)) == len(distinct)


@pytest.mark.parametrize(("text", "expected"), [("5m", 300), ("1h30m", 5400), ("500ms", 0.5), (90, 90)])
def test_durations(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "m5", "-5m", 0, -1])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(UsageError, match="expected a duration"):
        seconds(text)
