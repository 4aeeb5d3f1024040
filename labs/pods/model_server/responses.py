"""The bodies of answers: whole ones, and the chunks of a stream."""

from __future__ import annotations

import time
from collections.abc import Sequence as List
from dataclasses import dataclass, field

from labs.pods.model_server import tokens
from labs.pods.model_server.answers import Choice
from labs.pods.model_server.api_errors import Json
from labs.pods.model_server.generation_request import GenerationRequest


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> Json:
    """Token counts; ``cached_tokens`` of the prompt were in the prefix cache."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


def usage_of(choices: List[Choice]) -> Json:
    """The counts of a whole request: each prompt counts once, however many answers it gets."""
    read = [choice.sequence for choice in choices if choice.sequence.n is not None]
    made = sum(choice.sequence.generated for choice in choices)
    return usage(sum(s.prompt_tokens for s in read), made, sum(s.cached for s in read))


def embeddings_body(model: str, id: str, vectors: List[list[float] | str], prompt_tokens: int) -> Json:
    """The answer to an embedding request."""
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    counts = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return {"id": f"embd-{id}", "object": "list", "model": model, "data": data, "usage": counts}


@dataclass(frozen=True)
class Response:
    """Builds the bodies of one request's answers: they share an id and a time."""

    model: str
    id: str
    request: GenerationRequest
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def _chat(self) -> bool:
        return self.request.prompt_param == "messages"

    def whole(self, choices: List[Choice], texts: List[str]) -> Json:
        """The body of an answer that is not streamed."""
        kind = "chat.completion" if self._chat else "text_completion"
        rows = [self._choice(choice, text) for choice, text in zip(choices, texts, strict=True)]
        body = self._body(kind, rows) | {"usage": usage_of(choices)}
        return body | (self._prompt(choices[0]) if self._chat else {})

    def _choice(self, choice: Choice, text: str) -> Json:
        said = choice.echo + text
        content: Json = {"message": {"role": "assistant", "content": said, "refusal": None}} if self._chat else {"text": said}
        ids = self._ids(choice.sequence.answer) | ({} if self._chat else self._prompt(choice))
        return {"index": choice.index, **content, "logprobs": None, **self._end(choice), **ids}

    def _end(self, choice: Choice) -> Json:
        return {"finish_reason": choice.sequence.finish.value, "stop_reason": choice.stop_reason}

    def _ids(self, pieces: List[str]) -> Json:
        return {"token_ids": [tokens.encode(piece) for piece in pieces if piece]} if self.request.return_token_ids else {}

    def _prompt(self, choice: Choice) -> Json:
        """The prompt, if the client asked for it."""
        read: Json = {}
        if self.request.return_token_ids:
            read["prompt_token_ids"] = [tokens.encode(piece) for piece in choice.sequence.prompt]
        if getattr(self.request, "return_prompt_text", None):
            read["prompt_text"] = "".join(choice.sequence.prompt)
        return read

    def first(self, choice: Choice) -> list[Json]:
        """What comes before a choice's first piece: in a chat the role, in a completion the echo."""
        if self._chat:
            return [self._chunk(choice, {"role": "assistant", "content": ""}) | self._prompt(choice)]
        read = self._prompt(choice)
        return [self._chunk(choice, {"content": choice.echo}, read)] if choice.echo or read else []

    def piece(self, choice: Choice, pieces: List[str]) -> Json:
        """The next part of a choice's text."""
        return self._chunk(choice, {"content": "".join(pieces)}, self._ids(pieces))

    def last(self, choice: Choice) -> Json:
        """A choice's end."""
        return self._chunk(choice, {}, self._end(choice))

    def counts(self, choices: List[Choice]) -> Json:
        """The chunk after the last, for clients that asked for usage."""
        return self._body(self._chunk_kind, []) | {"usage": usage_of(choices)}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _chunk(self, choice: Choice, delta: Json, more: Json | None = None) -> Json:
        content: Json = {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        row = {"index": choice.index, **content, "logprobs": None, "finish_reason": None, **(more or {})}
        return self._body(self._chunk_kind, [row])

    def _body(self, kind: str, rows: list[Json]) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": rows}
