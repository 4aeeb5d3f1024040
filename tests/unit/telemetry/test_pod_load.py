"""A load inside a running pod: what is executed there, and what it reports while it runs and afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labs import shell
from labs.clusters.base import Cluster
from labs.errors import CommandFailed, TimedOut, UsageError
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.pod_load import PodLoad
from labs.waiting import wait_until

PLAN = LoadPlan("http://answers:8080", rps=1, seconds=2)
START = '{"kind": "start"}'
SUMMARY = json.dumps({"kind": "summary", "achieved_rps": 0.9})


def line(id: int, latency: float) -> str:
    record = {"kind": "request", "id": id, "intended": 1764000000.0 + id, "latency": latency, "status": 200, "ok": True}
    return json.dumps(record)


class PodWithProgram(Cluster):
    """Instead of kubectl exec, runs a Python program here: ``lines``, then (if told) a wait for ``until``, then ``exit_code``."""

    def __init__(self, *lines: str, until: Path | None = None, then: str = "", exit_code: int = 0) -> None:
        super().__init__("app")
        waiting = f"while not os.path.exists({str(until)!r}): time.sleep(0.01)" if until else ""
        self.code = "\n".join(
            [
                "import os, sys, time",
                f"print({chr(10).join(lines)!r}, flush=True)",
                waiting,
                f"print({then!r}, flush=True)",
                f"sys.exit({exit_code})",
            ]
        )
        self.asked: list[tuple[str, ...]] = []

    def start_program(self, workload: str, *words: str, on_line: Callable[[str], None]) -> shell.Background:
        self.asked.append((workload, *words))
        return shell.Background([sys.executable, "-c", self.code], on_line)


def test_it_runs_in_that_pod_and_returns_the_records() -> None:
    pod = PodWithProgram(START, line(0, 0.1), line(1, 0.2), SUMMARY)
    with PodLoad(pod, PLAN, lambda: (), "resilience/caller") as load:
        assert "resilience/caller" in repr(load)
    assert list(load.result().records["latency"]) == [0.1, 0.2] and load.result().totals["achieved_rps"] == 0.9
    assert pod.asked == [("resilience/caller", *PLAN.arguments())]


def test_it_reports_while_it_runs_and_everything_once_it_has_ended(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    pod = PodWithProgram(START, line(0, 0.1), line(1, 0.2), until=go_on, then=line(2, 0.3))
    with PodLoad(pod, PLAN, lambda: (), "resilience/caller") as load:
        load.wait_until_running()
        assert wait_until(lambda: len(load.so_far().records) == 2, 10)
        assert list(load.so_far(since=1764000000.5).records["latency"]) == [0.2]
        go_on.touch()
    assert list(load.so_far().records["latency"]) == [0.1, 0.2, 0.3]


def test_stopping_ends_the_program_and_may_be_repeated(tmp_path: Path) -> None:
    load = PodLoad(PodWithProgram(START, until=tmp_path / "never"), PLAN, lambda: (), "resilience/caller")
    load.wait_until_running()
    load.stop()
    assert not load._program.is_running
    load.stop()


def test_a_failure_is_reported_and_an_error_in_the_block_is_not_hidden(tmp_path: Path) -> None:
    failing = PodWithProgram("no such deployment", exit_code=1)
    with pytest.raises(CommandFailed, match="no such deployment"):
        PodLoad(failing, PLAN, lambda: (), "resilience/nobody").result()
    with pytest.raises(CommandFailed, match="no such deployment"):
        PodLoad(failing, PLAN, lambda: (), "resilience/nobody").wait_until_running()
    endless = PodLoad(PodWithProgram(START, until=tmp_path / "never"), PLAN, lambda: (), "resilience/caller")
    with pytest.raises(ZeroDivisionError), endless:
        raise ZeroDivisionError
    assert not endless._program.is_running


def test_a_generator_that_does_not_start_is_reported(tmp_path: Path) -> None:
    load = PodLoad(PodWithProgram("a warning", until=tmp_path / "never"), PLAN, lambda: (), "resilience/caller")
    with pytest.raises(TimedOut, match=r"not running after 0\.1 s"):
        load.wait_until_running(timeout=0.1)
    load.stop()


@pytest.mark.parametrize("inside", ["caller", "/caller", "resilience/", "a/b/c"])
def test_an_invalid_place_is_refused_and_nothing_runs(inside: str) -> None:
    pod = PodWithProgram(START)
    with pytest.raises(UsageError, match="as NAMESPACE/DEPLOYMENT"):
        PodLoad(pod, PLAN, lambda: (), inside)
    with pytest.raises(UsageError, match="rps above 0"):
        PodLoad(pod, LoadPlan("chat", rps=0, seconds=1), lambda: (), "resilience/caller")
    assert not pod.asked
