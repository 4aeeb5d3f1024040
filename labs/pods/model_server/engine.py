"""The engine: runs the scheduler's steps one after another, each for as long as the GPU needs.

The GPU's speed says how long a step takes, so a GPU that throttles slows every token, and one that hangs stops them all.
Left out of a real engine: speculation, several GPUs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from labs.pods.model_server.gpu import Speed
from labs.pods.model_server.kv_cache import KvCache
from labs.pods.model_server.metrics import Metrics
from labs.pods.model_server.scheduler import Limits, Scheduler, Step
from labs.pods.model_server.sequence import DeadlineExceeded, EngineError, Finish, Sequence
from labs.wire.gpu_work import Work

CATCH_UP = 0.05
"""Seconds of lateness that the next step may make up; a longer delay is lost, as on a GPU."""
HUNG_POLL = 0.05
"""Seconds between two checks of a GPU that hangs."""


class QueueFull(Exception):
    """The bounded queue is full; ``retry_after`` is an estimate in whole seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting} requests wait already")
        self.retry_after = retry_after


class Engine:
    """Runs sequences on one GPU. ``run`` drives it; ``submit`` gives it a request."""

    def __init__(self, limits: Limits, cache: KvCache, metrics: Metrics) -> None:
        self.speed = Speed()
        self.cache = cache
        self.dead: EngineError | None = None
        self.last_result = float("-inf")
        """When a step last produced a result, by the loop's clock."""
        self._scheduler = Scheduler(limits, cache)
        self._limits = limits
        self._metrics = metrics
        self._work = asyncio.Event()
        self._done_prefill = 0
        self._done_decode = 0
        metrics.watch(lambda: len(self.running), lambda: len(self.waiting), cache)

    @property
    def running(self) -> list[Sequence]:
        return self._scheduler.running

    @property
    def waiting(self) -> list[Sequence]:
        return list(self._scheduler.waiting)

    @property
    def capacity(self) -> int:
        """The most sequences one request can have."""
        return self._scheduler.capacity

    @contextmanager
    def submit(self, *sequences: Sequence, deadline: float | None = None) -> Iterator[None]:
        """Queue all sequences of a request, or none; leaving the block, however that happens, frees slots and cache blocks.

        After ``deadline`` seconds the sequences end with ``DeadlineExceeded``, whether they wait or run.

        Raises:
            QueueFull: too many are waiting.
            EngineError: the GPU is gone.
        """
        if self.dead:
            raise self.dead
        if len(sequences) > self._scheduler.places:
            raise QueueFull(len(self.waiting), self._retry_after())
        for sequence in sequences:
            sequence.arrived = _now()
            self._scheduler.waiting.append(sequence)
        self._work.set()
        alarm = None if deadline is None else asyncio.get_running_loop().call_later(deadline, self._expire, sequences, deadline)
        try:
            yield
        finally:
            if alarm:
                alarm.cancel()
            for sequence in sequences:
                if sequence.ended is None:
                    self._end(sequence, Finish.ABORT)

    def _retry_after(self) -> int:
        """Seconds until the queue has moved by one, at the mean length of the answers now running."""
        tokens = sum(len(s.answer) for s in self.running) / max(1, len(self.running))
        return max(1, round(tokens * self._step_seconds(0, len(self.running)) / self._limits.max_num_seqs))

    async def run(self) -> None:
        """Step while there is work; wait when there is none. Returns only when cancelled."""
        due = _now()
        while True:
            if not self._work.is_set():
                await self._work.wait()
                due = _now()
            while not self.speed.pace:  # a hung GPU: nothing ends, nothing fails
                await asyncio.sleep(HUNG_POLL)
            step = self._schedule()
            due = due if _now() - due < CATCH_UP else _now()
            due += self._step_seconds(step.prefill_tokens, len(step.decode))
            await asyncio.sleep(max(0.0, due - _now()))
            self._apply(step)
            if not self.running and not self._scheduler.waiting:
                self._work.clear()

    def _step_seconds(self, prefill: int, decode: int) -> float:
        """How long the GPU takes to compute ``prefill`` prompt tokens and one more token for each of ``decode`` sequences.

        Reading the weights from memory and computing overlap: the longer of the two counts.
        """
        rate = self._limits.sequence_tokens_per_second
        if not rate or not self.speed.pace:
            return 0.0
        memory = 1 / (rate * self.speed.pace) if decode else 0.0
        compute = prefill / self.speed.prefill_tokens_per_second + decode / self.speed.decode_tokens_per_second
        return max(memory, compute)

    def _schedule(self) -> Step:
        step = self._scheduler.schedule()
        now = _now()
        for sequence in step.admitted:
            if sequence.scheduled is None:
                sequence.scheduled, sequence.cached = now, sequence.computed
                self._metrics.looked_up(sequence.prompt_tokens, sequence.cached)
        self._metrics.preemptions.inc(len(step.preempted))
        return step

    def _apply(self, step: Step) -> None:
        """Book the step and emit its tokens."""
        now = _now()
        results = self._scheduler.book(step)
        for sequence in results:
            self._emit(sequence, now)
        self._done_prefill += step.prefill_tokens
        self._done_decode += len(step.decode)
        if step.prefill or step.decode:
            self._metrics.iteration.observe(step.prefill_tokens + len(step.decode))
        if results:
            self.last_result = now

    def _emit(self, sequence: Sequence, now: float) -> None:
        if not sequence.generated:
            self._metrics.prompt_read(sequence)
        if sequence.answer:
            self._metrics.token(sequence, now)
            sequence.emit(now)
        if sequence.complete:
            self._end(sequence, sequence.finish)
            sequence.close()

    def _end(self, sequence: Sequence, reason: Finish) -> None:
        self._scheduler.remove(sequence)
        sequence.ended = _now()
        self._metrics.ended(sequence, reason)

    def _expire(self, sequences: tuple[Sequence, ...], deadline: float) -> None:
        for sequence in sequences:
            if sequence.ended is None:
                self._end(sequence, Finish.ABORT)
                sequence.close(DeadlineExceeded(f"no complete answer within {deadline:g} s"))

    def kill(self, error: EngineError) -> None:
        """The GPU is gone: this and every later request fails with ``error``. Only a new process helps, as with CUDA."""
        self.dead = error
        for sequence in [*self.running, *self.waiting]:
            self._end(sequence, Finish.ERROR)
            sequence.close(error)

    def take_work(self, *, pod: str, weights_bytes: int, block_bytes: int, seconds: float) -> Work:
        """The work since the last call, for the GPU's report."""
        prefill, decode = self._done_prefill, self._done_decode
        self._done_prefill = self._done_decode = 0
        return Work(pod, prefill, decode, weights_bytes, self.cache.used * block_bytes, len(self.running), seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
