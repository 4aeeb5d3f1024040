"""What chat completions and completions have in common: how long an answer may be, how it is sent, what is not offered."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from labs.pods.model_server.prompts import Prompt
from labs.pods.model_server.request_body import Body, NoEffect, NotOffered, RequestId, Tokens, conflict
from labs.pods.model_server.response_format import ResponseFormat, TextFormat

INT64 = 2**63
MOST_CHOICES = 128
"""OpenAI's limit of ``n``."""
GREEDY = NoEffect("answers are looked up: nothing is sampled")
NO_SPECIAL_TOKENS = NoEffect("there are no special tokens")
NO_MEDIA = NoEffect("this model reads text only")
NO_LOGITS = "answers are looked up: there are no probabilities"
ONE_ENGINE = "one engine computes a request from beginning to end"


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value if isinstance(value, list) else [] if value is None else [None]
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise PydanticCustomError("stop_type", "expected a text or a list of texts, none of them empty")
    return tuple(stops)


class StreamOptions(BaseModel):
    """How a stream is sent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    """vLLM's: usage in every chunk."""
    include_obfuscation: Annotated[bool | None, NoEffect("nothing is padded")] = None


class Sampling(Body):
    """How a model would choose tokens. Only ``n`` is honoured: answers are looked up."""

    n: Annotated[int | None, Field(ge=1, le=MOST_CHOICES)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2), GREEDY] = None
    top_p: Annotated[float | None, Field(gt=0, le=1), GREEDY] = None
    top_k: Annotated[int | None, Field(ge=-1, lt=INT64), GREEDY] = None
    min_p: Annotated[float | None, Field(ge=0, le=1), GREEDY] = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64), GREEDY] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2), GREEDY] = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2), GREEDY] = None
    repetition_penalty: Annotated[float | None, Field(gt=0), GREEDY] = None
    length_penalty: Annotated[float | None, NoEffect("it matters to beam search alone")] = None
    use_beam_search: Annotated[object, NotOffered(NO_LOGITS, False)] = None
    logit_bias: Annotated[object, NotOffered(NO_LOGITS, {})] = None
    allowed_token_ids: Annotated[object, NotOffered(NO_LOGITS)] = None
    bad_words: Annotated[object, NotOffered(NO_LOGITS, [])] = None
    prompt_logprobs: Annotated[object, NotOffered(NO_LOGITS)] = None
    logprob_token_ids: Annotated[object, NotOffered(NO_LOGITS)] = None
    return_tokens_as_token_ids: Annotated[object, NotOffered(NO_LOGITS, False)] = None
    watermarking: Annotated[object, NotOffered(NO_LOGITS, False)] = None
    repetition_detection: Annotated[object, NotOffered("answers of the runbook do not go round in circles")] = None
    thinking_token_budget: Annotated[object, NotOffered("this model does not reason", -1)] = None


class Extent(Body):
    """How much the model reads and how much it says."""

    max_tokens: Tokens | None = None
    min_tokens: Tokens | None = None
    stop: Annotated[tuple[str, ...], PlainValidator(_stop)] = ()
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    truncate_prompt_tokens: Annotated[int | None, Field(ge=-1, le=2**31 - 1)] = None
    truncation_side: Literal["left", "right"] | None = None
    skip_special_tokens: Annotated[bool | None, NO_SPECIAL_TOKENS] = None
    spaces_between_special_tokens: Annotated[bool | None, NO_SPECIAL_TOKENS] = None
    add_special_tokens: Annotated[bool | None, NO_SPECIAL_TOKENS] = None


class Delivery(Body):
    """How the answer is sent, and who is asking."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stream_interval: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    return_token_ids: bool | None = None
    return_token_offsets: Annotated[bool | None, NoEffect("as in vLLM, where it belongs to the render endpoints")] = None
    return_mm_kwargs: Annotated[bool | None, NO_MEDIA] = None
    request_id: RequestId | None = None
    session_id: Annotated[str | None, NoEffect("nothing is kept between requests but the prefix cache")] = None
    user: Annotated[str | None, NoEffect("there are no accounts")] = None
    cache_salt: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    priority: Annotated[object, NotOffered("the queue is first come, first served", 0)] = None
    mm_processor_kwargs: Annotated[object, NotOffered("this model reads text only", {})] = None
    kv_transfer_params: Annotated[object, NotOffered(ONE_ENGINE)] = None
    ec_transfer_params: Annotated[object, NotOffered(ONE_ENGINE)] = None
    routed_experts_prompt_start: Annotated[object, NotOffered("this model has no experts", 0)] = None
    vllm_xargs: Annotated[object, NotOffered("there are no extensions that would read them", {})] = None


class GenerationRequest(Sampling, Extent, Delivery):
    """A request for text. ``limit`` is the most tokens of an answer, None for as many as fit."""

    response_format: Annotated[ResponseFormat | None, Field(discriminator="type")] = None
    structured_outputs: Annotated[object, NotOffered("ask with response_format")] = None

    prompt_param: ClassVar[str] = "prompt"
    """The field that holds the prompt."""

    @property
    def prompts(self) -> list[Prompt]:
        raise NotImplementedError

    @property
    def limit(self) -> int | None:
        return self.max_tokens

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return self.n or 1

    @property
    def echoed(self) -> bool:
        """Whether an answer begins with its prompt."""
        return False

    @property
    def writes_json(self) -> bool:
        return self.response_format is not None and not isinstance(self.response_format, TextFormat)

    def check(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise conflict("stream_options", "it is allowed only when stream is true")
        if self.choices > 1 and self.temperature == 0:
            raise conflict("n", "it must be 1 at temperature 0, where every answer is the same")
        if self.min_tokens and self.limit is not None and self.min_tokens > self.limit:
            raise conflict("min_tokens", f"it must be at most the {self.limit} tokens an answer may have")
        if self.writes_json and (self.ignore_eos or self.min_tokens):
            field = "ignore_eos" if self.ignore_eos else "min_tokens"
            raise conflict(field, "an answer in JSON ends where the JSON does")
