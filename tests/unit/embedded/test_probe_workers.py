"""When the probes of a container begin, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from labs.embedded.node import probe_workers
from labs.embedded.node.probes import Outcome

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
