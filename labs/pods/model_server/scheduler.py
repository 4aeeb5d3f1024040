"""Plans the next step: continuous batching with two queues, a token budget and preemption.

A step computes at most ``max_batched_tokens`` tokens: first one for each sequence that decodes, then pieces of prompts that have
a slot (a long prompt takes several steps and never blocks the others), then prompts from the waiting queue. What a sequence's
blocks hold decides what is left to compute: of a prompt whose beginning is in the prefix cache, only the rest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from labs.pods.model_server.kv_cache import BLOCK_TOKENS, KvCache
from labs.pods.model_server.sequence import Sequence


@dataclass(frozen=True)
class Limits:
    """How much the engine takes on. ``sequence_tokens_per_second`` is what one sequence gets at full clocks, alone on the GPU:
    a step reads all weights from memory, so the GPU's bandwidth sets it. 0 means no pacing."""

    max_num_seqs: int = 8
    max_waiting: int = 32
    max_batched_tokens: int = 512
    sequence_tokens_per_second: float = 50.0


@dataclass
class Step:
    """What one step will do: which sequences get one more token, and how many prompt tokens of which are computed."""

    decode: list[Sequence] = field(default_factory=list)
    prefill: list[tuple[Sequence, int]] = field(default_factory=list)
    preempted: list[Sequence] = field(default_factory=list)
    admitted: list[Sequence] = field(default_factory=list)

    @property
    def prefill_tokens(self) -> int:
        return sum(count for _, count in self.prefill)


class Scheduler:
    """The two queues: ``running`` has a slot and blocks, oldest first; ``waiting`` has neither."""

    def __init__(self, limits: Limits, cache: KvCache) -> None:
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self._limits = limits
        self._cache = cache

    @property
    def capacity(self) -> int:
        """The most sequences possible. A free slot counts as a place: the next step fills it."""
        return self._limits.max_num_seqs + self._limits.max_waiting

    @property
    def places(self) -> int:
        """How many more sequences fit."""
        return self.capacity - len(self.running) - len(self.waiting)

    def schedule(self) -> Step:
        """Plan the next step and give it the blocks it needs."""
        step = Step()
        for sequence in [s for s in self.running if s.decodes]:
            if self._make_room(sequence, 1, step):
                step.decode.append(sequence)
        budget = self._limits.max_batched_tokens - len(step.decode)
        for sequence in [s for s in self.running if not s.decodes]:
            budget -= self._prefill(sequence, budget, step)
        # A sequence just put back would take the room again at once, and nothing would be gained.
        if not step.preempted:
            self._admit(budget, step)
        # A later one may have preempted an earlier of the same step.
        step.decode = [s for s in step.decode if s in self.running]
        step.prefill = [(s, count) for s, count in step.prefill if s in self.running]
        return step

    def _prefill(self, sequence: Sequence, budget: int, step: Step) -> int:
        count = min(sequence.pending, budget)
        if count <= 0 or not self._make_room(sequence, count, step):
            return 0
        step.prefill.append((sequence, count))
        return count

    def _make_room(self, sequence: Sequence, count: int, step: Step) -> bool:
        """Blocks for ``count`` more tokens. While the cache is full, preempt the youngest; False if that is ``sequence``."""
        while sequence in self.running:
            if self._cache.grow(sequence.blocks, sequence.computed + count):
                return True
            step.preempted.append(self._preempt())
        return False

    def _preempt(self) -> Sequence:
        """Put the youngest back at the head of the queue; its blocks are freed and computed again later."""
        sequence = self.running.pop()
        self._cache.release(sequence.blocks)
        sequence.computed = 0
        self.waiting.appendleft(sequence)
        return sequence

    def _admit(self, budget: int, step: Step) -> None:
        while self.waiting and budget > 0 and len(self.running) < self._limits.max_num_seqs:
            sequence = self.waiting[0]
            reused = self._cache.reuse(sequence.tokens, sequence.salt)
            computed = len(reused) * BLOCK_TOKENS
            count = min(len(sequence.tokens) - computed, budget)
            if not self._cache.grow(reused, computed + count):
                self._cache.release(reused)
                return
            sequence.blocks, sequence.computed = reused, computed
            self.running.append(self.waiting.popleft())
            step.admitted.append(sequence)
            step.prefill.append((sequence, count))
            budget -= count

    def book(self, step: Step) -> list[Sequence]:
        """Record that the step was computed; return the sequences that now have a result, so a token. One whose client left
        while the GPU worked is no longer in ``running``."""
        done = [(s, count) for s, count in [*((s, 1) for s in step.decode), *step.prefill] if s in self.running]
        for sequence, count in done:
            sequence.computed += count
            if sequence.computed // BLOCK_TOKENS > (sequence.computed - count) // BLOCK_TOKENS:
                self._cache.publish(sequence.blocks, sequence.tokens, sequence.computed, sequence.salt)
        return [s for s, _ in done if not s.pending]

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is; its slot and its blocks are free at once."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._cache.release(sequence.blocks)
