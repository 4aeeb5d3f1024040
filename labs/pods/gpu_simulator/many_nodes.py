"""Thousands of GPUs in one process: their metrics under a synthetic load, as Prometheus and PromQL see them in a large fleet.

The model is that of every other GPU; only its time steps are long, since no program waits for these.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from labs.pods.gpu_simulator import exporter
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.fleet import Clock, Fleet, gpu_uuid
from labs.pods.gpu_simulator.profile import Profile
from labs.pods.gpu_simulator.work import decode_step_seconds
from labs.wire.gpu_work import Work

STEP = 5.0
"""Seconds of a time step. A GPU's temperature is exact at any length, as long as the load holds for the step."""
WEIGHTS, CACHE, BATCH = 16_000_000_000, 8_000_000_000, 16
"""An 8-billion-parameter model that decodes for sixteen."""
PERIOD = 600.0
"""Seconds between two peaks of a GPU's load."""


@dataclass(frozen=True)
class Load:
    """A GPU's utilisation over time: a wave around ``base``, both 0 to 1."""

    base: float
    swing: float
    phase: float

    def at(self, seconds: float) -> float:
        return min(1.0, max(0.0, self.base + self.swing * math.sin(math.tau * (seconds / PERIOD + self.phase))))


class ManyNodes:
    """``nodes`` nodes called ``PREFIX-0000`` and on, each with ``gpus`` GPUs of one kind. The same seed gives the same load."""

    def __init__(self, prefix: str, nodes: int, gpus: int, profile: Profile, clock: Clock, seed: int = 1) -> None:
        self.names = [f"{prefix}-{number:04}" for number in range(nodes)]
        self.fleets = [
            Fleet(name, [Gpu(profile, index, gpu_uuid(name, index), step=STEP) for index in range(gpus)], clock, STEP)
            for name in self.names
        ]
        self._token_seconds = decode_step_seconds(profile, Work(weights_bytes=WEIGHTS, kv_cache_bytes=CACHE), BATCH) / BATCH
        generator = random.Random(seed)
        self._loads = {
            gpu.uuid: Load(generator.uniform(0, 0.9), generator.uniform(0, 0.3), generator.random())
            for fleet in self.fleets
            for gpu in fleet.gpus
        }
        self._clock = clock

    async def run(self) -> None:
        """Let time pass for all nodes, a few at a time so that a scrape need not wait."""
        started = self._clock()
        for number in itertools.count():
            fleet = self.fleets[number % len(self.fleets)]
            self.advance(fleet)
            await asyncio.sleep(max(0.0, started + number * STEP / len(self.fleets) - self._clock()))

    def advance(self, fleet: Fleet) -> None:
        """Give one node's GPUs their work and let them do it."""
        now = self._clock()
        for gpu in fleet.gpus:
            tokens = round(self._loads[gpu.uuid].at(now) * STEP / self._token_seconds)
            gpu.report(Work("fleet", 0, tokens, WEIGHTS, CACHE, BATCH, STEP))
        fleet.advance()

    async def page(self) -> AsyncIterator[bytes]:
        """The metrics of all GPUs, one metric after another."""
        rows = [row for fleet in self.fleets for row in exporter.rows_of(fleet, {})]
        for family in exporter.families(rows):
            yield family.encode()
            await asyncio.sleep(0)

    def app(self) -> web.Application:
        """``/metrics`` of all GPUs."""

        async def metrics(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": exporter.CONTENT_TYPE})
            await response.prepare(request)
            async for part in self.page():
                await response.write(part)
            await response.write_eof()
            return response

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        return app
