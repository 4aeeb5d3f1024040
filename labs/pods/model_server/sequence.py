"""One request inside the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum

from labs.pods.model_server.kv_cache import Block


class EngineError(Exception):
    """The engine cannot go on with a request. It says so itself only when its GPU is gone."""

    status = 500
    code = "engine_dead"


class DeadlineExceeded(EngineError):
    """The request's time was over before its answer was."""

    status = 504
    code = "deadline_exceeded"


class Finish(Enum):
    """Why a sequence ended, in vLLM's words."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


@dataclass(eq=False)
class Sequence:
    """A prompt and the answer that will be streamed; an empty answer only reads the prompt, as an embedding does.

    Points in time are the event loop's, in seconds. Iterating gives the answer's tokens as the engine makes them.
    """

    prompt: list[str]
    answer: list[str]
    finish: Finish
    max_tokens: int
    arrived: float = 0.0
    scheduled: float | None = None
    """When it first got a slot."""
    first_token: float | None = None
    last_token: float | None = None
    ended: float | None = None
    generated: int = 0
    computed: int = 0
    """Tokens whose keys and values are in the cache. A preempted sequence begins again at what the prefix cache still has."""
    cached: int = 0
    """Tokens of the prompt that the prefix cache had when the sequence first got a slot."""
    blocks: list[Block] = field(default_factory=list)
    _output: asyncio.Queue[str | EngineError | None] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)
        """The prompt, and the answer as far as it is made."""

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)

    @property
    def pending(self) -> int:
        """Tokens the card has still to compute before the next one of the answer can come; 1 while it decodes."""
        return len(self.tokens) - self.computed

    @property
    def decodes(self) -> bool:
        return self.generated > 0 and self.pending == 1

    def emit(self, now: float) -> None:
        """Hand on the next token of the answer."""
        token = self.answer[self.generated]
        self._output.put_nowait(token)
        self.tokens.append(token)
        self.generated += 1
        self.first_token = self.first_token or now
        self.last_token = now

    @property
    def complete(self) -> bool:
        return self.generated == len(self.answer)

    def close(self, error: EngineError | None = None) -> None:
        """End the iteration, with ``error`` if there is one."""
        self._output.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (item := await self._output.get()) is not None:
            if isinstance(item, EngineError):
                raise item
            yield item
