"""A request for a completion, by OpenAI's and vLLM's schemas."""

from __future__ import annotations

from typing import Annotated

from labs.pods.model_server.generation_request import NO_LOGITS, GenerationRequest
from labs.pods.model_server.prompts import Items, Prompt, prompt_of
from labs.pods.model_server.request_body import NotOffered, conflict

DEFAULT_LIMIT = 16
"""Tokens of a completion whose request sets no limit; OpenAI's and vLLM's default."""


class CompletionRequest(GenerationRequest):
    """The body of ``POST /v1/completions``."""

    prompt: Items
    echo: bool | None = None
    best_of: Annotated[object, NotOffered("all answers are the same: ask for n", 1)] = None
    logprobs: Annotated[object, NotOffered(NO_LOGITS)] = None
    suffix: Annotated[object, NotOffered("this model does not insert text")] = None
    prompt_embeds: Annotated[object, NotOffered("this model reads text and token ids")] = None

    @property
    def prompts(self) -> list[Prompt]:
        return [prompt_of(item) for item in self.prompt]

    @property
    def limit(self) -> int | None:
        return DEFAULT_LIMIT if self.max_tokens is None else self.max_tokens

    @property
    def echoed(self) -> bool:
        return bool(self.echo)

    def check(self) -> None:
        super().check()
        if self.limit == 0 and not self.echo:
            raise conflict("max_tokens", "expected at least 1, or echo")
