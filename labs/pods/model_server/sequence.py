"""One request inside the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from labs.pods.model_server.kv_cache import Block


class EngineError(Exception):
    """The engine cannot go on with a request. It says so itself only when its GPU is gone."""

    status = 500
    code = "engine_dead"


class DeadlineExceeded(EngineError):
    """The request's time ran out before its answer was complete."""

    status = 504
    code = "deadline_exceeded"


class Finish(Enum):
    """Why a sequence ended, in vLLM's words."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


Output: TypeAlias = "asyncio.Queue[tuple[Sequence, str | EngineError | None]]"


@dataclass(eq=False)
class Sequence:
    """A prompt and the answer that will be streamed; an empty answer only reads the prompt, as an embedding does.

    Points in time are the event loop's, in seconds. Iterating gives the answer's tokens as the engine makes them.
    """

    prompt: list[str]
    answer: list[str]
    finish: Finish
    max_tokens: int
    n: int | None = 1
    """How many answers the request has; None on all but the first of them, so that it is counted once."""
    salt: str = ""
    """Only sequences of the same salt share blocks of the prefix cache."""
    arrived: float = 0.0
    scheduled: float | None = None
    """When it first got a slot."""
    first_token: float | None = None
    last_token: float | None = None
    ended: float | None = None
    generated: int = 0
    computed: int = 0
    """Tokens whose keys and values are in the cache. A preempted sequence resumes from what the prefix cache still holds."""
    cached: int = 0
    """Tokens of the prompt that the prefix cache held when the sequence first got a slot."""
    blocks: list[Block] = field(default_factory=list)
    output: Output = field(default_factory=asyncio.Queue)
    """Where tokens go, each with its sequence; None after the last. Sequences of one request share it."""

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)
        """The prompt, and the answer so far."""

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)

    @property
    def pending(self) -> int:
        """Tokens the GPU must still compute before the answer's next one; 1 while it decodes."""
        return len(self.tokens) - self.computed

    @property
    def decodes(self) -> bool:
        return self.generated > 0 and self.pending == 1

    def emit(self, now: float) -> None:
        """Pass on the next token of the answer."""
        token = self.answer[self.generated]
        self.output.put_nowait((self, token))
        self.tokens.append(token)
        self.generated += 1
        self.first_token = self.first_token or now
        self.last_token = now

    @property
    def complete(self) -> bool:
        return self.generated == len(self.answer)

    def close(self, error: EngineError | None = None) -> None:
        """End the iteration, with ``error`` if there is one."""
        self.output.put_nowait((self, error))

    async def __aiter__(self) -> AsyncIterator[str]:
        async for _, token in together([self]):
            if token is not None:
                yield token


async def together(sequences: Collection[Sequence]) -> AsyncIterator[tuple[Sequence, str | None]]:
    """The tokens of several sequences as the engine makes them, each with its sequence; None for one that ends.

    Raises:
        EngineError: one of them cannot go on.
    """
    output: Output = next(iter(sequences)).output
    for _ in range(len(sequences)):
        while True:
            sequence, item = await output.get()
            if isinstance(item, EngineError):
                raise item
            yield sequence, item
            if item is None:
                break


def share_output(sequences: Collection[Sequence]) -> None:
    """Let all sequences of a request write to one queue, for ``together``. Call before submitting them."""
    output: Output = asyncio.Queue()
    for sequence in sequences:
        sequence.output = output
