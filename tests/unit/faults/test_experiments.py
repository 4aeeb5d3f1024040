"""Experiments: what a hypothesis makes of requests, which layer moved, and that a run that fails leaves nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import shell
from labs.clusters.base import Cluster
from labs.errors import NotRunning, TimedOut, UsageError
from labs.faults import lifecycle
from labs.faults.experiments import layers
from labs.faults.experiments import run as running
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.layers import INDICATORS, Indicator
from labs.faults.experiments.phases import Phases
from labs.faults.experiments.result import Experiment
from labs.faults.experiments.run import Length
from labs.journal import Journal
from labs.session import Session
from labs.telemetry.charts import Chart
from labs.telemetry.load import Load
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.telemetry.pod_load import PodLoad
from labs.waiting import wait_until

START = 1_800_000_000.0
PHASES = Phases(START, START + 10, START + 30, START + 32, START + 50)


def text(slow: tuple[float, float] = (0, 0), failed: tuple[float, float] = (0, 0), rps: int = 4) -> str:
    """50 s of requests of 0.5 s; slow ones take 6 s, failed ones get a 503. Both spans are seconds from the start."""
    lines = []
    for number in range(50 * rps):
        offset = number / rps
        latency = 6.0 if slow[0] <= offset < slow[1] else 0.5
        bad = failed[0] <= offset < failed[1]
        at = START + offset
        lines.append(
            {
                "kind": "request",
                "id": number,
                "intended": at,
                "sent": at,
                "first_byte": None,
                "end": at + latency,
                "latency": latency,
                "ttft": None,
                "lag": 0.0,
                "model_seconds": None,
                "status": 503 if bad else 200,
                "ok": not bad,
                "error": None,
            }
        )
    return "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)


def load(slow: tuple[float, float] = (0, 0), failed: tuple[float, float] = (0, 0), rps: int = 4) -> LoadResult:
    return LoadResult(text(slow, failed, rps), LoadPlan("chat", rps, 50))


def experiment(result: LoadResult, hypothesis: Hypothesis | None = None) -> Experiment:
    table = pd.DataFrame(columns=layers.COLUMNS)
    return Experiment("gpu-overheat", hypothesis or Hypothesis(), PHASES, result, table, 1.5, Chart(b"", ""))


def test_nothing_happens_and_the_hypothesis_holds() -> None:
    found = experiment(load())
    assert found.held is True and found.felt is None and found.recovered == 0
    assert list(found.requests["objective"]) == ["met", "met", "met"] and list(found.requests["failed %"]) == [0, 0, 0]
    assert "held" in found.verdict and "users never missed their objective" in found.times


def test_slowness_is_felt_and_ends_after_the_heal() -> None:
    found = experiment(load(slow=(12, 36)))
    assert found.held is False and "did not hold: 100.0% answered" in found.verdict
    assert found.felt is not None and 0 <= found.felt <= 3
    assert found.recovered is not None and 5 <= found.recovered <= 8
    assert list(found.requests["objective"]) == ["met", "missed", "missed"]


def test_one_failure_in_a_hundred_is_allowed_and_more_is_not() -> None:
    assert experiment(load(failed=(15, 15.2)), Hypothesis(answered=0.98)).held is True
    assert experiment(load(failed=(15, 17)), Hypothesis(answered=0.98)).held is False


def test_what_never_gets_well_says_so() -> None:
    found = experiment(load(failed=(12, 60)))
    assert found.recovered is None and "not recovered before the load ended" in found.times


def test_without_a_steady_state_there_is_no_verdict() -> None:
    found = experiment(load(slow=(0, 50)))
    assert found.held is None and "already missed in the steady state" in found.verdict


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), min_size=1))
def test_a_stricter_hypothesis_never_holds_where_a_looser_one_does_not(rows: list[tuple[bool, float]]) -> None:
    index = pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC")
    records = pd.DataFrame(rows, columns=["ok", "latency"], index=index)
    strict, loose = Hypothesis(answered=0.99, quick=0.95, within=2), Hypothesis(answered=0.9, quick=0.5, within=8)
    assert loose.judge(records).met or not strict.judge(records).met


@pytest.mark.parametrize("words", [{"answered": 1.1}, {"quick": -0.1}, {"within": 0}])
def test_a_hypothesis_that_cannot_be_is_refused(words: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Hypothesis("nonsense", **words)


def test_a_phase_too_short_to_see_anything_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 5 s of recovery"):
        Length(recovery=4)


@pytest.mark.parametrize(
    ("steady", "fault", "moved"),
    [(40, 95, "up"), (40, 45, "-"), (95, 40, "down"), (40, float("nan"), "gone"), (float("nan"), 1, "new")],
)
def test_a_number_moved_if_it_moved_by_enough(steady: float, fault: float, moved: str) -> None:
    assert Indicator("gpu", "heat", "gpus", "", least=20).moved(steady, fault) == moved


class Server:
    """A Prometheus whose every series steps from ``steady`` to ``fault`` while the failure is in force."""

    def __init__(self, steady: float, fault: float) -> None:
        self._levels = (steady, fault)

    def query(self, promql: str, *, last: float, step: float) -> pd.DataFrame:
        index = pd.date_range(pd.Timestamp(START, unit="s", tz="UTC"), periods=51, freq="s")
        values = [self._levels[1] if 10 <= second <= 31 else self._levels[0] for second in range(51)]
        return pd.DataFrame({"value": values}, index=index)


def test_every_layer_has_its_numbers_in_every_phase() -> None:
    servers: Any = {"app": Server(1, 1), "gpu": Server(1400, 400)}
    found = layers.table(servers, PHASES)
    assert set(found["layer"]) == {"gpu", "kubernetes", "serving", "mesh", "network"} and len(found) == len(INDICATORS)
    clock = found.set_index("indicator").loc["slowest busy clock, MHz"]
    assert (clock["steady"], clock["fault"], clock["recovery"], clock["moved"]) == (1400, 400, 1400, "down")
    assert set(found[found["layer"].isin(["mesh", "network"])]["moved"]) == {"-"}


class Now:
    """A Prometheus whose every series is ``level`` now; with None it has none."""

    def __init__(self, level: float | None) -> None:
        self._level = level

    def instant(self, promql: str) -> pd.Series:
        return pd.Series([] if self._level is None else [self._level], dtype="float64")


def test_a_snapshot_tells_what_moved_since_an_earlier_one() -> None:
    quiet: Any = {"app": Now(1), "gpu": Now(1400)}
    hot: Any = {"app": Now(1), "gpu": Now(None)}
    before = layers.snapshot(quiet)
    assert list(before.columns) == ["layer", "now"] and len(before) == len(INDICATORS)
    moved = layers.snapshot(hot, before)["moved"]
    assert moved["slowest busy clock, MHz"] == "gone" and moved["failures per second"] == "-"


def test_a_prometheus_that_does_not_answer_leaves_its_rows_empty() -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise NotRunning("away")

    servers: Any = {"app": SimpleNamespace(query=silent), "gpu": Server(1, 1)}
    found = layers.table(servers, PHASES).set_index("indicator")
    assert found.loc["successes per second", "steady":"recovery"].isna().all()


@pytest.fixture
def fault(session: Session) -> lifecycle.FaultContext:
    known, parameters = lifecycle.prepare(session, "gpu-overheat", {"gpu": 0, "node": "gpu-worker"})
    return lifecycle.FaultContext(session, known, parameters)


class FakeLoad(Load):
    """Records what is asked of it; its result is ``load()``."""

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__(plan, "load-1", lambda: ())
        self.asked: list[str] = []
        self.since: float | None = None

    def wait_until_running(self, timeout: float = 60.0) -> None:
        self.asked.append("wait")

    def result(self) -> LoadResult:
        self.asked.append("result")
        return load()

    def so_far(self, since: float | None = None) -> LoadResult:
        self.asked.append("so far")
        self.since = since
        return load()

    def stop(self) -> None:
        self.asked.append("stop")

    def _output(self) -> str:
        return ""


def interrupted(*_: Any) -> float:
    raise KeyboardInterrupt


@pytest.fixture
def observed(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Experiments that take no time and always see the symptom after 1.5 s."""
    monkeypatch.setattr(running, "_watch", lambda *_: 1.5)
    monkeypatch.setattr(running, "_figure", lambda *_: Chart(b"", ""))
    monkeypatch.setattr(running.time, "sleep", lambda seconds: None)
    servers: Any = {"app": Server(1, 1), "gpu": Server(1, 1)}
    monkeypatch.setattr(Session, "servers", servers)
    return session


def test_a_plan_becomes_a_load_that_lasts_as_long_as_the_phases(
    observed: Session, fault: lifecycle.FaultContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FakeLoad] = []

    def make(api: Any, plan: LoadPlan, windows: Any) -> FakeLoad:
        made.append(FakeLoad(plan))
        return made[-1]

    monkeypatch.setattr(running, "JobLoad", make)
    found = running.run(observed, fault, LoadPlan("chat", 6, 1, cluster="gpu"), Hypothesis(), Length(10, 20, 15))
    assert found.detected == 1.5 and made[0].plan.seconds == 45
    assert made[0].asked == ["wait", "result"]


def test_an_interrupted_experiment_is_healed_and_its_load_stopped(
    observed: Session, journal: Journal, gpu: Any, fault: lifecycle.FaultContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeLoad(LoadPlan("chat", 6, 1))
    monkeypatch.setattr(running, "JobLoad", lambda *_: fake)
    monkeypatch.setattr(running, "_watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running.run(observed, fault, LoadPlan("chat", 6, 1, cluster="gpu"), Hypothesis(), Length())
    assert fake.asked == ["wait", "stop"] and not gpu.faults and not journal.active()


def test_a_load_that_was_running_before_continues_afterwards(observed: Session, gpu: Any, fault: lifecycle.FaultContext) -> None:
    users, started = FakeLoad(LoadPlan("chat", 6, 900)), time.time()
    assert running.run(observed, fault, users, Hypothesis(), Length()).detected == 1.5
    assert users.asked == ["wait", "so far"] and users.since is not None and users.since >= started
    assert not gpu.faults


def test_a_load_that_was_running_before_continues_after_an_interrupted_experiment(
    observed: Session, gpu: Any, fault: lifecycle.FaultContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_watch", interrupted)
    users = FakeLoad(LoadPlan("chat", 6, 900))
    with pytest.raises(KeyboardInterrupt):
        running.run(observed, fault, users, Hypothesis(), Length())
    assert users.asked == ["wait"] and not gpu.faults


def test_a_load_that_does_not_start_ends_the_experiment_before_anything_breaks(
    observed: Session, gpu: Any, journal: Journal, fault: lifecycle.FaultContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeLoad(LoadPlan("chat", 6, 1))

    def never(timeout: float = 60.0) -> None:
        raise TimedOut("load-1 is not running")

    monkeypatch.setattr(fake, "wait_until_running", never)
    monkeypatch.setattr(running, "JobLoad", lambda *_: fake)
    with pytest.raises(TimedOut):
        running.run(observed, fault, LoadPlan("chat", 6, 1, cluster="gpu"), Hypothesis(), Length())
    assert fake.asked == ["stop"] and not journal.all()


class PodWithGenerator(Cluster):
    """A pod whose generator prints the requests of ``load()``; the names of pods are never used as label values."""

    def start_program(self, workload: str, *words: str, on_line: Callable[[str], None]) -> shell.Background:
        return shell.Background([sys.executable, "-c", f"print({text()!r})"], on_line)


def test_an_experiment_works_with_a_load_inside_a_pod(
    observed: Session, gpu: Any, fault: lifecycle.FaultContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = PHASES
    monkeypatch.setattr(running, "_break_and_heal", lambda *_: (phases, 1.5))
    with PodLoad(PodWithGenerator("app"), LoadPlan("chat", 4, 50), lambda: (), "shop/chat") as users:
        assert wait_until(lambda: len(users.so_far().records) == 200, 10)
        found = running.run(observed, fault, users, Hypothesis(), Length())
    assert found.held is True and len(found.load.records) == 200
