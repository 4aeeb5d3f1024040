"""Answers as server-sent events, piece by piece as the engine makes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence

from labs.pods.model_server.answers import Choice
from labs.pods.model_server.api_errors import Json
from labs.pods.model_server.responses import Response, usage_of
from labs.pods.model_server.sequence import together
from labs.wire.sse import encode

DONE = encode("[DONE]")


def frame(body: Json) -> bytes:
    """One event."""
    return encode(json.dumps(body, separators=(",", ":")))


async def frames(response: Response, choices: Sequence[Choice]) -> AsyncIterator[bytes]:
    """A stream's events except its end; those of several choices are mixed as they come.

    Raises:
        EngineError: the engine cannot go on.
    """
    by_sequence = {id(choice.sequence): _ChoiceStream(response, choice) for choice in choices}
    with_usage = response.request.stream_options and response.request.stream_options.continuous_usage_stats
    async for sequence, token in together([choice.sequence for choice in choices]):
        chunks = list(by_sequence[id(sequence)].take(token))
        counts = {"usage": usage_of(choices)} if with_usage else {}
        if chunks:
            yield b"".join(frame(chunk | counts) for chunk in chunks)


class _ChoiceStream:
    """One choice's chunks: a head with the first token, then ``stream_interval`` tokens in each."""

    def __init__(self, response: Response, choice: Choice) -> None:
        self._response = response
        self._choice = choice
        self._interval = response.request.stream_interval or 1
        self._kept: list[str] = []
        self._begun = False

    def take(self, token: str | None) -> Iterator[Json]:
        """The chunks that go out with ``token``; None is the end."""
        head = not self._begun
        if head:
            # vLLM sends the role only with the engine's first result: time to first byte is time to first token.
            self._begun = True
            yield from self._response.first(self._choice)
        if token is not None:
            self._kept.append(token)
        if self._kept and (head or token is None or len(self._kept) >= self._interval):
            yield self._response.piece(self._choice, self._kept)
            self._kept = []
        if token is None:
            yield self._response.last(self._choice)
