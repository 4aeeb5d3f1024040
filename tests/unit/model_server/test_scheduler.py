"""Continuous batching, without a clock: whatever comes and leaves, the limits hold and everybody is served."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.pods.model_server.kv_cache import KvCache
from labs.pods.model_server.scheduler import Limits, Scheduler
from labs.pods.model_server.sequence import Finish, Sequence

LIMITS = Limits(max_num_seqs=3, max_waiting=100, max_batched_tokens=20)


def sequence(prompt: int, answer: int, word: str = "x") -> Sequence:
    return Sequence([word] * prompt, ["y"] * answer, Finish.STOP, answer)


def advance(scheduler: Scheduler) -> list[Sequence]:
    """One step as the engine does it; who was given a token."""
    step = scheduler.schedule()
    assert len(step.decode) + step.prefill_tokens <= LIMITS.max_batched_tokens
    assert len(scheduler.running) <= LIMITS.max_num_seqs
    assert not {id(s) for s in step.preempted} & {id(s) for s, _ in step.prefill}
    given = scheduler.book(step)
    for one in given:
        one.emit(0.0)
        if one.complete:
            scheduler.remove(one)
    return given


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from("abc")), min_size=1, max_size=12),
    st.integers(8, 24),
    st.booleans(),
)
def test_every_sequence_ends_and_gives_its_blocks_back(shapes: list[tuple[int, int, str]], blocks: int, caching: bool) -> None:
    cache = KvCache(blocks, prefix_caching=caching)
    scheduler = Scheduler(LIMITS, cache)
    sequences = [sequence(*shape) for shape in shapes]
    scheduler.waiting.extend(sequences)
    for _ in range(5000):
        if all(s.complete for s in sequences):
            break
        advance(scheduler)
    assert all(s.complete for s in sequences)
    assert (scheduler.running, list(scheduler.waiting), cache.used) == ([], [], 0)


def test_a_long_prompt_is_cut_in_pieces_and_does_not_stop_who_decodes() -> None:
    scheduler = Scheduler(LIMITS, KvCache(100))
    short, long = sequence(5, 50, "a"), sequence(100, 5, "b")
    scheduler.waiting.extend([short, long])
    steps = [advance(scheduler) for _ in range(5)]
    assert all(short in given for given in steps)
    assert not any(long in given for given in steps) and long.computed == 15 + 4 * 19


def test_the_youngest_is_preempted_and_goes_to_the_head_of_the_queue() -> None:
    scheduler = Scheduler(LIMITS, KvCache(3))
    old, young, later = sequence(16, 30, "a"), sequence(16, 30, "b"), sequence(1, 1, "c")
    scheduler.waiting.extend([old, young])
    for _ in range(3):
        advance(scheduler)
    scheduler.waiting.append(later)
    advance(scheduler)
    assert scheduler.running == [old] and list(scheduler.waiting) == [young, later]
    assert young.generated > 0 and young.computed == 0 and young.blocks == []


def test_a_sequence_that_left_during_the_step_gets_no_token() -> None:
    scheduler = Scheduler(LIMITS, KvCache(10))
    leaving = sequence(5, 5)
    scheduler.waiting.append(leaving)
    step = scheduler.schedule()
    scheduler.remove(leaving)
    assert scheduler.book(step) == [] and leaving.computed == 0


def test_free_slots_count_as_places() -> None:
    scheduler = Scheduler(Limits(max_num_seqs=1, max_waiting=1), KvCache(10))
    scheduler.waiting.append(sequence(1, 1))
    assert (scheduler.places, scheduler.capacity) == (1, 2)
    scheduler.waiting.append(sequence(1, 1))
    assert scheduler.places == 0
