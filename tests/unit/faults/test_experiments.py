"""Experiments: what a hypothesis makes of requests, which plane moved, and that a run that fails leaves nothing."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import NotRunning, UsageError
from labs.faults import session
from labs.faults.experiments import planes
from labs.faults.experiments import run as running
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.phases import Phases
from labs.faults.experiments.planes import INDICATORS, Indicator
from labs.faults.experiments.result import Experiment
from labs.faults.experiments.run import Bench, Length
from labs.faults.injectors.base import Scene
from labs.faults.journal import Journal
from labs.telemetry.charts import Chart
from labs.telemetry.load import LoadPlan, LoadResult

START = 1_800_000_000.0
PHASES = Phases(START, START + 10, START + 30, START + 32, START + 50)


def load(slow: tuple[float, float] = (0, 0), failed: tuple[float, float] = (0, 0), rps: int = 4) -> LoadResult:
    """50 s of requests of 0.5 s; slow ones take 6 s, failed ones get a 503. Both spans are seconds from the start."""
    lines = []
    for number in range(50 * rps):
        offset = number / rps
        latency = 6.0 if slow[0] <= offset < slow[1] else 0.5
        bad = failed[0] <= offset < failed[1]
        at = START + offset
        lines.append(
            {
                "kind": "request", "id": number, "intended": at, "sent": at, "first_byte": None, "end": at + latency,
                "latency": latency, "ttft": None, "lag": 0.0, "model_seconds": None, "status": 503 if bad else 200, "ok": not bad,
                "error": None,
            }
        )  # fmt: skip
    return LoadResult("\n".join(json.dumps(line, separators=(",", ":")) for line in lines), LoadPlan("chat", rps, 50))


def experiment(result: LoadResult, hypothesis: Hypothesis | None = None) -> Experiment:
    table = pd.DataFrame(columns=planes.COLUMNS)
    return Experiment("gpu-overheat", hypothesis or Hypothesis(), PHASES, result, table, 1.5, Chart(b"", ""))


def test_nothing_happens_and_the_hypothesis_holds() -> None:
    found = experiment(load())
    assert found.held is True and found.felt is None and found.recovered == 0
    assert list(found.requests["objective"]) == ["kept", "kept", "kept"] and list(found.requests["failed %"]) == [0, 0, 0]
    assert "held" in found.verdict and "users kept their objective" in found.times


def test_slowness_is_felt_and_ends_after_the_heal() -> None:
    found = experiment(load(slow=(12, 36)))
    assert found.held is False and "did not hold: 100.0% answered" in found.verdict
    assert found.felt is not None and 0 <= found.felt <= 3
    assert found.recovered is not None and 5 <= found.recovered <= 8
    assert list(found.requests["objective"]) == ["kept", "missed", "missed"]


def test_one_failure_in_a_hundred_is_allowed_and_more_is_not() -> None:
    assert experiment(load(failed=(15, 15.2)), Hypothesis(answered=0.98)).held is True
    assert experiment(load(failed=(15, 17)), Hypothesis(answered=0.98)).held is False


def test_what_never_gets_well_says_so() -> None:
    found = experiment(load(failed=(12, 60)))
    assert found.recovered is None and "not before the load ended" in found.times


def test_without_a_steady_state_there_is_no_verdict() -> None:
    found = experiment(load(slow=(0, 50)))
    assert found.held is None and "before anything was broken" in found.verdict


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), min_size=1))
def test_a_stricter_hypothesis_never_holds_where_a_looser_one_does_not(rows: list[tuple[bool, float]]) -> None:
    index = pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC")
    records = pd.DataFrame(rows, columns=["ok", "latency"], index=index)
    strict, loose = Hypothesis(answered=0.99, quick=0.95, within=2), Hypothesis(answered=0.9, quick=0.5, within=8)
    assert loose.judge(records).kept or not strict.judge(records).kept


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
    assert Indicator("card", "heat", "gpu", "", least=20).moved(steady, fault) == moved


class Server:
    """A Prometheus whose every series steps from ``steady`` to ``fault`` while the failure is in force."""

    def __init__(self, steady: float, fault: float) -> None:
        self._levels = (steady, fault)

    def query(self, promql: str, *, last: float, step: float) -> pd.DataFrame:
        index = pd.date_range(pd.Timestamp(START, unit="s", tz="UTC"), periods=51, freq="s")
        values = [self._levels[1] if 10 <= second <= 31 else self._levels[0] for second in range(51)]
        return pd.DataFrame({"value": values}, index=index)


def test_every_plane_has_its_numbers_in_every_phase() -> None:
    servers: Any = {"app": Server(1, 1), "gpu": Server(1400, 400)}
    found = planes.table(servers, PHASES)
    assert set(found["plane"]) == {"card", "kubernetes", "serving", "mesh", "network"} and len(found) == len(INDICATORS)
    clock = found.set_index("what").loc["slowest clock at work, MHz"]
    assert (clock["steady"], clock["fault"], clock["recovery"], clock["moved"]) == (1400, 400, 1400, "down")
    assert set(found[found["plane"].isin(["mesh", "network"])]["moved"]) == {"-"}


class Now:
    """A Prometheus whose every series is ``level`` now; with None it has none."""

    def __init__(self, level: float | None) -> None:
        self._level = level

    def instant(self, promql: str) -> pd.Series:
        return pd.Series([] if self._level is None else [self._level], dtype="float64")


def test_a_glance_tells_what_moved_since_an_earlier_one() -> None:
    quiet: Any = {"app": Now(1), "gpu": Now(1400)}
    hot: Any = {"app": Now(1), "gpu": Now(None)}
    before = planes.glance(quiet)
    assert list(before.columns) == ["plane", "now"] and len(before) == len(INDICATORS)
    moved = planes.glance(hot, before)["moved"]
    assert moved["slowest clock at work, MHz"] == "gone" and moved["failures per second"] == "-"


def test_a_prometheus_that_does_not_answer_leaves_its_rows_empty() -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise NotRunning("away")

    servers: Any = {"app": SimpleNamespace(query=silent), "gpu": Server(1, 1)}
    found = planes.table(servers, PHASES).set_index("what")
    assert found.loc["successes per second", "steady":"recovery"].isna().all()


@pytest.fixture
def fault(scene: Scene, journal: Journal) -> session.FaultSession:
    known, where = session.prepare(scene, journal, "gpu-overheat", {"gpu": 0, "node": "gpu-worker"})
    return session.FaultSession(scene, journal, known, where)


def test_an_interrupted_experiment_is_healed_and_its_load_stopped(
    scene: Scene, journal: Journal, gpu: Any, fault: session.FaultSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = []
    fake = SimpleNamespace(plan=SimpleNamespace(cluster="gpu"), name="load-1", stop=lambda: stopped.append(True))
    monkeypatch.setattr(running, "RunningLoad", lambda *words: fake)
    monkeypatch.setattr(running, "_wait_until_it_runs", lambda *words: None)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def interrupted(*_: Any) -> float:
        assert gpu.faults
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "_watch", interrupted)
    bench = Bench(scene, {}, lambda: ())
    with pytest.raises(KeyboardInterrupt):
        running.run(bench, fault, LoadPlan("chat", 6, 1, cluster="gpu"), Hypothesis(), Length())
    assert stopped == [True] and not gpu.faults and not journal.active()


@pytest.mark.parametrize("fails", [False, True])
def test_users_who_were_there_before_stay_whatever_comes_of_the_experiment(
    scene: Scene, gpu: Any, fault: session.FaultSession, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asked: dict[str, Any] = {"stopped": False}

    def so_far(since: float) -> LoadResult:
        asked["since"] = since
        return load()

    def watch(*_: Any) -> float:
        if fails:
            raise KeyboardInterrupt
        return 1.5

    users: Any = SimpleNamespace(
        plan=SimpleNamespace(cluster="gpu"), name="load-1", so_far=so_far, stop=lambda: asked.update(stopped=True)
    )
    monkeypatch.setattr(running, "_wait_until_it_runs", lambda *words: None)
    monkeypatch.setattr(running, "_watch", watch)
    monkeypatch.setattr(running, "_figure", lambda *words: Chart(b"", ""))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    servers: Any = {"app": Server(1, 1), "gpu": Server(1, 1)}
    bench, started = Bench(scene, servers, lambda: ()), time.time()
    if fails:
        with pytest.raises(KeyboardInterrupt):
            running.run(bench, fault, users, Hypothesis(), Length())
    else:
        assert running.run(bench, fault, users, Hypothesis(), Length()).detected == 1.5
        assert asked["since"] >= started
    assert not asked["stopped"] and not gpu.faults
