"""Running an experiment: steady state, failure, recovery, under one load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from labs import kube
from labs.errors import UsageError
from labs.faults.experiments import planes
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.phases import Phases
from labs.faults.experiments.result import Experiment
from labs.faults.injectors.base import Scene
from labs.faults.session import FaultSession
from labs.faults.signs import is_there
from labs.telemetry import story
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.load import NAMESPACE, LoadPlan, LoadResult, RunningLoad
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.windows import Window

POLL = 0.3
SHORTEST = 5.0
"""Seconds a phase lasts at least: its first four are left out of the table (``planes.settling``), and one sample must be left."""
STARTED = 60.0
"""Seconds the load's pod may take to run."""


@dataclass(frozen=True)
class Length:
    """How long each phase lasts, in seconds."""

    steady: float = 10.0
    fault: float = 20.0
    recovery: float = 15.0

    def __post_init__(self) -> None:
        for name in ("steady", "fault", "recovery"):
            if not getattr(self, name) >= SHORTEST:
                raise UsageError(f"expected at least {SHORTEST:g} s of {name}; found {getattr(self, name)!r}")

    @property
    def total(self) -> float:
        return self.steady + self.fault + self.recovery


@dataclass(frozen=True)
class Bench:
    """What an experiment needs of the lab: its clusters, their Prometheus servers by name, the windows charts shade."""

    scene: Scene
    servers: Mapping[str, Prometheus]
    windows: Callable[[], Sequence[Window]]


def run(bench: Bench, fault: FaultSession, load: LoadPlan | RunningLoad, hypothesis: Hypothesis, length: Length) -> Experiment:
    """Run one experiment. Whatever goes wrong in it, the fault is healed and its load is stopped before the error goes on.

    Of a plan ``seconds`` is not asked: the load lasts as long as the phases do. A load that is running goes on afterwards; its
    requests that are still on their way when the recovery ends are not counted.
    """
    own = isinstance(load, LoadPlan)
    running = _start(bench, load, length) if isinstance(load, LoadPlan) else load
    try:
        _wait_until_it_runs(bench.scene, running)
        phases, detected = _break_and_heal(bench, fault, length)
        if own:
            result = running.result()
        else:
            time.sleep(length.recovery)
            result = running.so_far(since=phases.began)
    except BaseException:
        if own:
            running.stop()
        raise
    return _experiment(bench, fault, hypothesis, phases, result, detected)


def _start(bench: Bench, plan: LoadPlan, length: Length) -> RunningLoad:
    return RunningLoad(bench.scene.api(plan.cluster), replace(plan, seconds=length.total), bench.windows)


def _break_and_heal(bench: Bench, fault: FaultSession, length: Length) -> tuple[Phases, float | None]:
    """The phases until the heal is done, and after how many seconds the fault's sign was seen."""
    began = time.time()
    time.sleep(length.steady)
    with fault:
        assert fault.injection is not None, "entered"
        detected = _watch(bench, fault, length.fault)
        heal_began = time.time()
    return Phases(began, fault.injection.start, heal_began, time.time(), 0.0), detected


def _wait_until_it_runs(scene: Scene, running: RunningLoad) -> None:
    api = scene.api(running.plan.cluster)
    deadline = time.monotonic() + STARTED
    while time.monotonic() < deadline:
        pods = kube.select(api, "Pod", NAMESPACE, labels=f"batch.kubernetes.io/job-name={running.name}")
        if any(pod["status"].get("phase") == "Running" for pod in pods):
            return
        time.sleep(POLL)


def _watch(bench: Bench, fault: FaultSession, seconds: float) -> float | None:
    """Let the failure be for so long; after how many seconds its sign was seen, None if it was not."""
    assert fault.injection is not None, "entered"
    end = time.monotonic() + seconds
    detected = None
    while detected is None and time.monotonic() < end:
        if is_there(bench.scene, bench.servers, fault.fault.sign):
            detected = time.time() - fault.injection.start
        else:
            time.sleep(POLL)
    time.sleep(max(0.0, end - time.monotonic()))
    return detected


def _experiment(
    bench: Bench, fault: FaultSession, hypothesis: Hypothesis, phases: Phases, result: LoadResult, detected: float | None
) -> Experiment:
    # The load decides when the steady state began and the recovery ended: its pod needs a second to start.
    if len(result.records):
        phases = replace(phases, began=result.records.index[0].timestamp(), ended=result.records.index[-1].timestamp())
    shown = planes.table(bench.servers, phases)
    figure = _figure(bench, fault.fault.title, phases, result)
    return Experiment(fault.fault.name, hypothesis, phases, result, shown, detected, figure)


def _figure(bench: Bench, title: str, phases: Phases, result: LoadResult) -> Chart:
    latency, ok = result.records["latency"], result.records["ok"]
    requests = pd.DataFrame({"answered": latency.where(ok), "failed": latency.where(~ok)})
    users = Panel(requests, "Users: latency of every request", "s", points=True, empty="no request was sent")
    return draw([users, *story.panels(bench.servers, phases.age)], title=title, windows=bench.windows())
