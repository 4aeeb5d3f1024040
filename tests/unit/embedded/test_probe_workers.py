"""When the probes of a container begin, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from labs.embedded.node import probe_workers
from labs.embedded.node.probes import Outcome
from tests.support.waiting import until

NEVER = 10_000.0


@pytest.mark.parametrize(("delay", "first_look"), [(0, 2.2), (2, 2.2), (5, 5.1)])
async def test_a_delay_counts_from_the_containers_start_not_from_its_startup_probe(
    monkeypatch: pytest.MonkeyPatch, delay: float, first_look: float
) -> None:
    """The startup probe looks at 0.1, 1.1 and 2.1 s, and passes then."""
    clock = types.SimpleNamespace(now=0.0, looks=[])
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await real_sleep(0 if seconds < NEVER else NEVER)

    async def attempt(_context: Any, _container: Any, probe: dict[str, Any]) -> tuple[Outcome, str]:
        clock.looks.append((probe["name"], round(clock.now, 3)))
        passes = probe["name"] == "ready" or len(clock.looks) == 3
        return (Outcome.SUCCESS if passes else Outcome.FAILURE), ""

    monkeypatch.setattr(probe_workers.random, "uniform", lambda _low, _high: 0.1)
    monkeypatch.setattr(probe_workers.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(probe_workers.asyncio, "sleep", sleep)
    monkeypatch.setattr(probe_workers.probes, "attempt", attempt)
    spec = {
        "startupProbe": {"name": "up", "periodSeconds": 1},
        "readinessProbe": {"name": "ready", "initialDelaySeconds": delay, "periodSeconds": NEVER},
    }
    container = types.SimpleNamespace(spec=spec, started=False, ready=False)
    context = types.SimpleNamespace(publish=lambda: None, event=lambda *_: None)
    workers = probe_workers.ProbeWorkers(context, container, lambda *_: None)  # type: ignore[arg-type]
    workers.start()
    while not container.ready:
        await real_sleep(0)
    workers.stop()
    assert clock.looks == [("up", 0.1), ("up", 1.1), ("up", 2.1), ("ready", pytest.approx(first_look))]


@pytest.mark.parametrize(
    ("takes", "looks"),
    [(0.5, [0.0, 3.0, 6.0]), (3.0, [0.0, 3.0, 6.0]), (4.0, [0.0, 4.0, 8.0]), (7.5, [0.0, 7.5, 15.0])],
)
async def test_the_period_is_a_tick_and_not_a_rest(takes: float, looks: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that takes as long as the period is followed by the next one at once, as with Go's time.Ticker."""
    clock = types.SimpleNamespace(now=0.0)

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(probe_workers.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(probe_workers.asyncio, "sleep", sleep)
    ticker, begun = probe_workers.Ticker(3), []
    for _ in range(3):
        begun.append(clock.now)
        clock.now += takes
        await ticker.wait()
    assert begun == looks


async def test_a_pod_that_is_being_deleted_is_no_longer_killed_for_its_health(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []

    async def attempt(_context: Any, _container: Any, probe: dict[str, Any]) -> tuple[Outcome, str]:
        attempts.append(probe["name"])
        return Outcome.FAILURE, "no"

    monkeypatch.setattr(probe_workers.random, "uniform", lambda _low, _high: 0.0)
    monkeypatch.setattr(probe_workers.probes, "attempt", attempt)
    spec = {
        "livenessProbe": {"name": "alive", "periodSeconds": 0.01, "failureThreshold": 10_000},
        "readinessProbe": {"name": "ready", "periodSeconds": 0.01},
    }
    container = types.SimpleNamespace(spec=spec, started=False, ready=False)
    context = types.SimpleNamespace(publish=lambda: None, event=lambda *_: None)
    workers = probe_workers.ProbeWorkers(context, container, lambda *_: None)  # type: ignore[arg-type]
    workers.start()
    await until(lambda: {"alive", "ready"} <= set(attempts))
    workers.terminate()
    await asyncio.sleep(0)
    attempts.clear()
    await until(lambda: len(attempts) >= 5)
    workers.stop()
    assert set(attempts) == {"ready"}


async def test_a_warning_counts_as_success_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(*_: Any) -> tuple[Outcome, str]:
        return Outcome.WARNING, "Probe terminated redirects, Response body: x"

    monkeypatch.setattr(probe_workers.probes, "attempt", attempt)
    events: list[tuple[str, str, str]] = []
    container = types.SimpleNamespace(spec={"readinessProbe": {"periodSeconds": 10}}, started=False, ready=False)
    context = types.SimpleNamespace(publish=lambda: None, event=lambda _, *event: events.append(event))
    workers = probe_workers.ProbeWorkers(context, container, lambda *_: None)  # type: ignore[arg-type]
    workers.start()
    await until(lambda: container.ready)
    workers.stop()
    assert events == [("Warning", "ProbeWarning", "Readiness probe warning: Probe terminated redirects, Response body: x")]
