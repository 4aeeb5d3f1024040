"""The probes of one running container, each in a task of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from labs.embedded.node import probes
from labs.embedded.node.context import PodContext
from labs.embedded.node.model import ContainerRecord, Object

KINDS = {"startupProbe": "Startup", "readinessProbe": "Readiness", "livenessProbe": "Liveness"}
ATTEMPTS = 3
"""A probe that breaks (as opposed to fails) is tried this often before it counts as unknown."""


class ProbeWorkers:
    """Startup first; readiness and liveness once the container has started."""

    def __init__(self, context: PodContext, container: ContainerRecord, on_unhealthy: Callable[[str, Object], None]) -> None:
        """``on_unhealthy(kind, probe)`` is called once when the startup or liveness probe has failed for good."""
        self._context = context
        self._container = container
        self._on_unhealthy = on_unhealthy
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun = 0.0

    def start(self) -> None:
        """Begin, for a container that has just started; sets its ``started`` and ``ready``."""
        self._begun = time.monotonic()
        if "startupProbe" in self._container.spec:
            self._launch("startupProbe", self._startup_result)
        else:
            self._has_started()

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def terminate(self) -> None:
        """The pod is being deleted: only its readiness still matters."""
        for key in ("startupProbe", "livenessProbe"):
            if key in self._tasks:
                self._tasks[key].cancel()

    def _has_started(self) -> None:
        self._container.started = True
        if "readinessProbe" in self._container.spec:
            self._launch("readinessProbe", self._readiness_result)
        else:
            self._container.ready = True
        if "livenessProbe" in self._container.spec:
            self._launch("livenessProbe", self._liveness_result)
        self._context.publish()

    def _startup_result(self, healthy: bool) -> bool:
        if healthy:
            self._has_started()
        else:
            self._on_unhealthy("startup", self._container.spec["startupProbe"])
        return False

    def _readiness_result(self, healthy: bool) -> bool:
        if self._container.ready != healthy:
            self._container.ready = healthy
            self._context.publish()
        return True

    def _liveness_result(self, healthy: bool) -> bool:
        if not healthy:
            self._on_unhealthy("liveness", self._container.spec["livenessProbe"])
        return healthy

    def _launch(self, key: str, decide: Callable[[bool], bool]) -> None:
        self._tasks[key] = asyncio.create_task(self._run(key, decide))

    async def _run(self, key: str, decide: Callable[[bool], bool]) -> None:
        """Probe for ever; ``decide`` gets each final result and says whether to continue."""
        probe = self._container.spec[key]
        needed = {True: probe.get("successThreshold", 1), False: probe.get("failureThreshold", 3)}
        # A kubelet counts the delay from the container's start, even after a startup probe. It makes the first attempt
        # at once, unless it has just been started itself; a little later, programs listen.
        delay = self._begun + probe.get("initialDelaySeconds", 0) - time.monotonic()
        await asyncio.sleep(max(delay, 0.0) + random.uniform(0.05, 0.3))
        last, run, ticker = None, 0, Ticker(probe.get("periodSeconds", 10))
        while True:
            outcome, message = await self._attempt(probe)
            self._tell(KINDS[key], outcome, message)
            if outcome is not probes.Outcome.UNKNOWN:
                run = run + 1 if outcome.passes is last else 1
                last = outcome.passes
                if run >= needed[last] and not decide(last):
                    return
            await ticker.wait()

    async def _attempt(self, probe: Object) -> probes.Result:
        for _ in range(ATTEMPTS):
            outcome, message = await probes.attempt(self._context, self._container, probe)
            if outcome is not probes.Outcome.UNKNOWN:
                break
        return outcome, message

    def _tell(self, kind: str, outcome: probes.Outcome, message: str) -> None:
        if outcome is probes.Outcome.FAILURE:
            self._context.event(self._container, "Warning", "Unhealthy", f"{kind} probe failed: {message}")
        elif outcome is probes.Outcome.WARNING:
            self._context.event(self._container, "Warning", "ProbeWarning", f"{kind} probe warning: {message}")
        elif outcome is probes.Outcome.UNKNOWN:
            text = f"{kind} probe errored and resulted in unknown state: {message}"
            self._context.event(self._container, "Warning", "Unhealthy", text)


class Ticker:
    """Ticks once per period from now on. A late waiter finds one tick pending; earlier ones are lost."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._due = time.monotonic()

    async def wait(self) -> None:
        """Return at the next tick."""
        late = time.monotonic() - self._due
        self._due += self._period * max(1, int(late // self._period))
        await asyncio.sleep(max(self._due - time.monotonic(), 0.0))
