"""From an empty GPU to a serving model and back: load, serve, drain, or die with the GPU."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum

from labs.pods.model_server.engine import Engine
from labs.pods.model_server.gpu import Accelerator, CudaError, OutOfMemory
from labs.pods.model_server.sequence import EngineError
from labs.wire.gpu_work import Work

log = logging.getLogger(__name__)

REPORT_EVERY = 0.1
"""Seconds between two reports to the GPU, also when idle: the GPU must see that nothing runs."""
RETRY_LOAD = 1.0


class Phase(Enum):
    """Where the server is in its life. The model is loaded only in SERVING and DRAINING."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"
    DEAD = "dead"


@dataclass(frozen=True)
class Weights:
    """The model's size in bytes, how long loading takes in seconds, and the bytes of one KV-cache block."""

    size: int
    load_seconds: float
    block: int


class Lifecycle:
    """Keeps the engine and its GPU in step. ``run`` returns only when cancelled."""

    def __init__(self, engine: Engine, gpu: Accelerator, weights: Weights, pod: str) -> None:
        self.phase = Phase.LOADING
        self.detail = "loading weights"
        """One sentence for ``/health`` when the phase is not SERVING."""
        self.gpu = gpu
        self._engine = engine
        self._weights = weights
        self._pod = pod

    async def run(self) -> None:
        await self._load()
        self.phase = Phase.SERVING
        log.info("model loaded on GPU %s; serving", self.gpu.uuid)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._engine.run())
            tasks.create_task(self._report())

    async def _load(self) -> None:
        """Fill the GPU's memory step by step. If the GPU is lost, start over until it heals, unready meanwhile."""
        while True:
            try:
                await self._fill()
                return
            except CudaError as error:
                self.detail = f"cannot load the model: {error}"
                log.error("%s; trying again in %s s", self.detail, RETRY_LOAD)
            await asyncio.sleep(RETRY_LOAD)

    async def _fill(self) -> None:
        steps = max(1, round(self._weights.load_seconds / REPORT_EVERY))
        for done in range(steps + 1):
            loaded = self._weights.size * done // steps
            self._engine.speed = await self.gpu.report(Work(self._pod, weights_bytes=loaded, seconds=REPORT_EVERY))
            self._fits()
            self.detail = f"loading weights: {loaded / 2**30:.1f} of {self._weights.size / 2**30:.1f} GiB"
            await asyncio.sleep(REPORT_EVERY if done < steps else 0)

    def _fits(self) -> None:
        cache = self._engine.cache.total * self._weights.block
        if self.gpu.memory_total is not None and self._weights.size + cache > self.gpu.memory_total:
            need, have = (self._weights.size + cache) / 2**30, self.gpu.memory_total / 2**30
            raise OutOfMemory(f"CUDA out of memory: weights and KV cache need {need:.1f} GiB; the GPU has {have:.1f}")

    async def _report(self) -> None:
        """Report work to the GPU and adopt its speed; when it is lost the engine dies too, as a CUDA context does."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while self.phase is not Phase.DEAD:
            await asyncio.sleep(REPORT_EVERY)
            now = loop.time()
            work = self._engine.take_work(
                pod=self._pod, weights_bytes=self._weights.size, block_bytes=self._weights.block, seconds=now - last
            )
            last = now
            try:
                self._engine.speed = await self.gpu.report(work)
            except CudaError as error:
                self._die(error)

    def _die(self, error: CudaError) -> None:
        self.phase, self.detail = Phase.DEAD, str(error)
        log.error("%s; every request fails until this process is restarted", error)
        self._engine.kill(EngineError(str(error)))

    def drain(self) -> None:
        """Announce on ``/health`` that this server is leaving. It still takes requests: endpoints need a moment to catch up."""
        if self.phase is Phase.SERVING:
            self.phase, self.detail = Phase.DRAINING, "draining: this server stops soon"
