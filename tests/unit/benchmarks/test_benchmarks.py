"""The figures: each next to its target, and never at the cost of another lab."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from labs.errors import UsageError
from scripts.benchmarks import commands, programs


def test_each_figure_stands_beside_its_target() -> None:
    assert commands.table({"up_seconds": 12.34567, "idle_processes": 40}) == {
        "up_seconds": {"found": 12.346, "at_most": 20.0},
        "idle_processes": {"found": 40},
    }


def test_a_lab_that_was_only_stopped_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    monkeypatch.setattr(commands.control, "identity", lambda: None)
    result = CliRunner().invoke(commands.bench)
    assert isinstance(result.exception, UsageError) and "lab down" in result.exception.fix
    assert tmp_path.exists()


def test_a_figure_that_should_be_large_says_so() -> None:
    assert commands.table({"model_server_tokens_per_second": 9000}) == {
        "model_server_tokens_per_second": {"found": 9000, "at_least": 3000.0}
    }


def test_vegetas_lateness_is_against_its_own_schedule() -> None:
    sent = [("2026-01-01T00:00:00.0001Z", 0), ("2026-01-01T00:00:00.002Z", 1), ("2026-01-01T00:00:00.0140Z", 2)]
    rows = [{"timestamp": stamp, "seq": seq} for stamp, seq in sent]
    # The second was the most punctual; against it the third left 10 ms late.
    assert programs.lateness(rows) == pytest.approx(0.01, rel=0.03)


def test_the_programs_are_measured_without_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SECONDS", 1)
    monkeypatch.setattr(programs, "RPS", 50)
    monkeypatch.setattr(programs, "ANSWER_TOKENS", 100)
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    result = CliRunner().invoke(commands.bench, ["programs"], catch_exceptions=False)
    found = json.loads(result.output)
    assert found["model_server_tokens_per_second"]["found"] > 0
    assert found["load_achieved_rps"]["found"] > 0 and found["load_send_error_p99_ms"]["found"] > 0


def test_lateness_is_measured_before_others_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(programs.os, "sched_setscheduler", lambda pid, policy, param: asked.append(policy))
    with programs._before_others():
        assert asked == [os.SCHED_FIFO]
    assert asked == [os.SCHED_FIFO, os.sched_getscheduler(0)], "and never longer"


def test_lateness_is_measured_without_priority_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(programs.os, "sched_setscheduler", refused)
    with programs._before_others():
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
