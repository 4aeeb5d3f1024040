"""Blocks are conserved, and what the prefix cache says it has is what was really put there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.pods.model_server.kv_cache import BLOCK_TOKENS, Block, KvCache, blocks_for

PROMPTS = st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map(lambda runs: [x for x in runs for _ in range(BLOCK_TOKENS)])
"""Prompts of few kinds of blocks, so that beginnings are often shared."""


def test_a_block_holds_sixteen_tokens() -> None:
    assert [blocks_for(n) for n in (0, 1, BLOCK_TOKENS, BLOCK_TOKENS + 1)] == [0, 1, 1, 2]


@given(st.integers(6, 20), st.lists(st.tuples(PROMPTS, st.booleans()), max_size=40), st.booleans())
def test_blocks_are_conserved_and_hits_are_true(total: int, moves: list[tuple[list[str], bool]], caching: bool) -> None:
    cache = KvCache(total, prefix_caching=caching)
    seen: set[tuple[str, ...]] = set()
    holdings: list[list[Block]] = []
    for tokens, leave in moves:
        held = cache.reuse(tokens)
        known = tuple(tokens[: len(held) * BLOCK_TOKENS])
        assert not known or (caching and known in seen and len(known) < len(tokens))
        if cache.grow(held, len(tokens)):
            cache.publish(held, tokens, len(tokens))
            seen |= {tuple(tokens[: n * BLOCK_TOKENS]) for n in range(1, len(tokens) // BLOCK_TOKENS + 1)}
            holdings.append(held)
        else:
            cache.release(held)
        if leave and holdings:
            cache.release(holdings.pop(0))
        assert cache.used == len({id(block) for held in holdings for block in held}) <= total
    for held in holdings:
        cache.release(held)
    assert cache.used == 0 and cache.usage == 0


def test_who_grows_too_far_changes_nothing() -> None:
    cache = KvCache(4)
    held: list[Block] = []
    assert cache.grow(held, 40) and cache.usage == 0.75
    assert not cache.grow(held, 80) and len(held) == 3 and cache.used == 3


def test_the_same_prompt_is_held_once_by_many() -> None:
    cache, prompt = KvCache(10), ["x"] * 65
    first: list[Block] = []
    cache.grow(first, 65)
    cache.publish(first, prompt, 65)
    second = cache.reuse(prompt)
    assert second == first[:4] and cache.used == 5
    cache.release(first)
    assert cache.used == 4


def test_the_block_unused_for_longest_is_forgotten_first_and_a_beginning_last() -> None:
    cache = KvCache(4)
    for letter in "ab":
        held: list[Block] = []
        cache.grow(held, 32)
        cache.publish(held, [letter] * 32, 32)
        cache.release(held)
    assert cache.grow([], 16)  # takes one block of the four, the end of the older prompt
    assert [len(cache.reuse([letter] * 33)) for letter in "ab"] == [1, 2]


def test_without_prefix_caching_nothing_is_reused() -> None:
    cache = KvCache(4, prefix_caching=False)
    held: list[Block] = []
    cache.grow(held, 32)
    cache.publish(held, ["x"] * 32, 32)
    assert cache.reuse(["x"] * 33) == []
