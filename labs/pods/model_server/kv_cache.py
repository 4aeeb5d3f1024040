"""The KV cache's blocks: who holds which, and what they contain, so that a prompt's known beginning need not be read again.

A full block is known by a hash over its tokens and all before it. A block that nobody holds keeps its contents until the pool
runs out of empty ones; the least recently used goes first. The layout is vLLM's
(https://docs.vllm.ai/en/stable/design/prefix_caching/); the keys and values themselves are not simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK_TOKENS = 16
"""Tokens in a block: vLLM's default on CUDA."""


def blocks_for(tokens: int) -> int:
    """How many blocks ``tokens`` tokens of context fill."""
    return -(-tokens // BLOCK_TOKENS)


@dataclass(eq=False)
class Block:
    """One block. ``key`` is the hash of a full one's contents, None while it fills; ``holders`` counts sequences."""

    key: int | None = None
    holders: int = 0


class KvCache:
    """A pool of ``total`` blocks. A block is held by one or more sequences, or it is idle."""

    def __init__(self, total: int, *, prefix_caching: bool = True) -> None:
        self.total = total
        self.prefix_caching = prefix_caching
        # A dict keeps the order in which blocks went idle: the first is the next to be reused.
        self._idle: dict[Block, None] = dict.fromkeys(Block() for _ in range(total))
        self._known: dict[int, Block] = {}

    @property
    def used(self) -> int:
        """Blocks that a sequence holds."""
        return self.total - len(self._idle)

    @property
    def usage(self) -> float:
        """Share of the pool that is held, 0 to 1. Idle blocks count as free, whatever they still contain."""
        return self.used / self.total

    def reuse(self, tokens: Sequence[str], salt: str = "") -> list[Block]:
        """Take the blocks that contain the beginning of ``tokens``, never all of it: the last token must be computed,
        since the next one follows from its result. Blocks of another ``salt`` are not seen."""
        held: list[Block] = []
        if not self.prefix_caching:
            return held
        key = _salted(salt)
        for begin in range(0, (len(tokens) - 1) // BLOCK_TOKENS * BLOCK_TOKENS, BLOCK_TOKENS):
            key = _key(key, tokens, begin)
            block = self._known.get(key)
            if block is None:
                break
            self._hold(block)
            held.append(block)
        return held

    def grow(self, held: list[Block], tokens: int) -> bool:
        """Add blocks to ``held`` until they fit ``tokens`` tokens. False, with nothing changed, if too few blocks are left."""
        missing = blocks_for(tokens) - len(held)
        if missing > len(self._idle):
            return False
        for _ in range(missing):
            block = next(iter(self._idle))
            if block.key is not None:
                del self._known[block.key]
                block.key = None
            self._hold(block)
            held.append(block)
        return True

    def publish(self, held: list[Block], tokens: Sequence[str], computed: int, salt: str = "") -> None:
        """Make the full blocks among the first ``computed`` of ``tokens`` known, for others to reuse."""
        if not self.prefix_caching:
            return
        full = computed // BLOCK_TOKENS
        first = next((i for i in range(full) if held[i].key is None), full)
        key = held[first - 1].key if first else None
        key = _salted(salt) if key is None else key
        for i in range(first, full):
            key = _key(key, tokens, i * BLOCK_TOKENS)
            if key in self._known:
                return  # another sequence computed the same at the same time: keep its block
            held[i].key = key
            self._known[key] = held[i]

    def release(self, held: list[Block]) -> None:
        """Release all blocks in ``held`` and empty the list. The last goes idle first: a prefix's beginning is worth most."""
        while held:
            block = held.pop()
            block.holders -= 1
            if not block.holders:
                self._idle[block] = None

    def _hold(self, block: Block) -> None:
        self._idle.pop(block, None)
        block.holders += 1


def _salted(salt: str) -> int:
    """The key that precedes the first block's."""
    return hash(salt) if salt else 0


def _key(before: int, tokens: Sequence[str], begin: int) -> int:
    return hash((before, *tokens[begin : begin + BLOCK_TOKENS]))
