"""Running an experiment: steady state, failure, recovery, under one load."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pandas as pd

from labs.errors import UsageError
from labs.faults.experiments import layers
from labs.faults.experiments.hypothesis import Hypothesis
from labs.faults.experiments.phases import Phases
from labs.faults.experiments.result import Experiment
from labs.faults.lifecycle import FaultContext
from labs.faults.symptoms import is_present
from labs.session import Session
from labs.telemetry import timeline
from labs.telemetry.charts import Chart, Panel, draw
from labs.telemetry.job_load import JobLoad
from labs.telemetry.load import Load
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.waiting import attempts

POLL = 0.3
"""Seconds between checks for the symptom: each check takes processor time from what is being measured."""
SHORTEST = 5.0
"""Seconds. The table skips the first four of a phase (``layers.settling``) and needs at least one more sample."""


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


def run(session: Session, fault: FaultContext, load: LoadPlan | Load, hypothesis: Hypothesis, length: Length) -> Experiment:
    """Run one experiment. If anything goes wrong, heal the fault and stop the load started here before the error propagates.

    A plan's ``seconds`` are ignored: the load lasts as long as the phases. A load that is already running continues afterwards;
    its requests that are still in flight when the recovery ends do not count.
    """
    own = isinstance(load, LoadPlan)
    running = _start(session, load, length) if isinstance(load, LoadPlan) else load
    try:
        running.wait_until_running()
        phases, detected = _break_and_heal(session, fault, length)
        if own:
            result = running.result()
        else:
            time.sleep(length.recovery)
            result = running.so_far(since=phases.began)
    except BaseException:
        if own:
            running.stop()
        raise
    return _experiment(session, fault, hypothesis, phases, result, detected)


def _start(session: Session, plan: LoadPlan, length: Length) -> Load:
    return JobLoad(session.api(plan.cluster), replace(plan, seconds=length.total), session.windows)


def _break_and_heal(session: Session, fault: FaultContext, length: Length) -> tuple[Phases, float | None]:
    """Run the phases up to the end of the heal; return their times, and the seconds until the symptom was present."""
    began = time.time()
    time.sleep(length.steady)
    with fault:
        assert fault.injection is not None, "entered"
        detected = _watch(session, fault, length.fault)
        heal_began = time.time()
    return Phases(began, fault.injection.start, heal_began, time.time(), 0.0), detected


def _watch(session: Session, fault: FaultContext, seconds: float) -> float | None:
    """Keep the failure active for ``seconds``; returns when its symptom was first present, None if it never was."""
    assert fault.injection is not None, "entered"
    end = time.monotonic() + seconds
    detected = None
    for _ in attempts(seconds, POLL):
        if is_present(session, fault.fault.symptom):
            detected = time.time() - fault.injection.start
            break
    time.sleep(max(0.0, end - time.monotonic()))
    return detected


def _experiment(
    session: Session, fault: FaultContext, hypothesis: Hypothesis, phases: Phases, result: LoadResult, detected: float | None
) -> Experiment:
    # The load decides when the steady state began and the recovery ended, because its pod takes a second to start.
    if len(result.records):
        phases = replace(phases, began=result.records.index[0].timestamp(), ended=result.records.index[-1].timestamp())
    shown = layers.table(session.servers, phases)
    figure = _figure(session, fault.fault.title, phases, result)
    return Experiment(fault.fault.name, hypothesis, phases, result, shown, detected, figure)


def _figure(session: Session, title: str, phases: Phases, result: LoadResult) -> Chart:
    latency, ok = result.records["latency"], result.records["ok"]
    requests = pd.DataFrame({"answered": latency.where(ok), "failed": latency.where(~ok)})
    users = Panel(requests, "Users: latency of every request", "s", points=True, empty="no request was sent")
    return draw([users, *timeline.panels(session.servers, phases.age)], title=title, windows=session.windows())
