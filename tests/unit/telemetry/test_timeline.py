"""The timeline: panels for every layer, also if one does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from labs.errors import NotRunning, UsageError
from labs.telemetry import timeline

INDEX = pd.date_range("2026-11-24", periods=3, freq="1s", tz="UTC", name="time")


class Server:
    """A Prometheus that answers every query with the same frame, or does not answer."""

    def __init__(self, answer: Callable[[str], pd.DataFrame]) -> None:
        self._answer = answer

    def query(self, promql: str, *, last: str | float) -> pd.DataFrame:
        return self._answer(promql)


def one_series(promql: str) -> pd.DataFrame:
    frame = pd.DataFrame({"value": [1.0, 2.0, 3.0]}, INDEX)
    frame.attrs["labels"] = {"value": {"node": "gpu-worker", "gpu": "1"}}
    return frame


def silent(promql: str) -> pd.DataFrame:
    raise NotRunning("Prometheus of cluster gpu does not answer\nConnection refused", fix="lab status")


def panels(gpu: Callable[[str], pd.DataFrame] = one_series) -> dict[str, Any]:
    servers: dict[str, Any] = {"gpu": Server(gpu), "app": Server(one_series)}
    return {panel.title: panel for panel in timeline.panels(servers, "3m")}


def test_every_layer_has_a_panel_with_its_unit_and_named_lines() -> None:
    drawn = panels()
    assert len(drawn) == len(timeline.PANELS)
    assert drawn["GPU clock"].unit == "MHz"
    assert list(drawn["Model server: requests"].frame.columns) == ["running", "waiting"]
    assert list(drawn["Mesh: calls to the model"].frame.columns) == ["success", "failure"]


def test_a_gpu_is_named_by_node_and_index() -> None:
    assert list(panels()["GPU temperature"].frame.columns) == ["gpu-worker gpu 1"]


def test_a_layer_that_does_not_answer_says_so_and_leaves_the_others() -> None:
    drawn = panels(gpu=silent)
    assert drawn["GPU clock"].frame.empty
    assert drawn["GPU clock"].empty == "Prometheus of cluster gpu does not answer"
    assert len(drawn["Mesh: calls to the model"].frame) == len(INDEX)


def test_since_is_a_time_in_the_past() -> None:
    assert timeline.span(time.time() - 60) == pytest.approx(60, abs=5)
    with pytest.raises(UsageError, match="a time in the past"):
        timeline.span(time.time() + 100)


def test_events_are_counted_by_reason_in_the_span() -> None:
    start, end = INDEX[0], INDEX[-1]
    events: list[dict[str, Any]] = [
        {"reason": "Killing", "lastTimestamp": "2026-11-24T00:00:01Z"},
        {"reason": "Killing", "eventTime": "2026-11-24T00:00:02.500000Z", "lastTimestamp": None},
        {"reason": "Killing", "series": {"lastObservedTime": "2026-11-24T00:00:02Z"}, "eventTime": "2026-11-23T00:00:00Z"},
        {"reason": "Pulled", "lastTimestamp": "2026-11-24T00:00:00Z"},
        {"reason": "Scheduled"},
        {"reason": "Pulled", "lastTimestamp": "2026-11-24T00:00:00Z", "involvedObject": {"kind": "Pod", "name": "load-1a2b3c-x"}},
    ]
    frame = timeline.events_panel(events, start, end).frame
    assert list(frame.columns) == ["Killing", "Pulled"]
    assert list(frame["Killing"]) == [0, 1, 2] and list(frame["Pulled"]) == [1, 1, 1]
    assert timeline.events_panel([], start, end).frame.empty
