"""Requests that generate no text: embeddings by OpenAI's and vLLM's schemas, tokenizing by vLLM's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from labs.pods.model_server.generation_request import NO_SPECIAL_TOKENS
from labs.pods.model_server.prompts import Items, Message
from labs.pods.model_server.request_body import Body, NoEffect, NotOffered, RequestId, conflict

MOST_INPUTS = 2048
"""OpenAI's limit of ``input``."""
NO_CHAT = "give the texts as input"
NO_TEMPLATE = "this model has no chat template"


class EmbeddingRequest(Body):
    """The body of ``POST /v1/embeddings``."""

    input: Annotated[Items, Field(max_length=MOST_INPUTS)]
    dimensions: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str | None, NoEffect("there are no accounts")] = None

    # vLLM's own.
    truncate_prompt_tokens: Annotated[int | None, Field(ge=-1, le=2**31 - 1)] = None
    truncation_side: Literal["left", "right"] | None = None
    request_id: RequestId | None = None
    cache_salt: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    add_special_tokens: Annotated[bool | None, NO_SPECIAL_TOKENS] = None
    priority: Annotated[object, NotOffered("the queue is first come, first served", 0)] = None
    padding: Annotated[object, NotOffered("texts are not padded", "do_not_pad")] = None
    mm_processor_kwargs: Annotated[object, NotOffered("this model reads text only", {})] = None
    embed_dtype: Annotated[object, NotOffered("numbers are packed as 32-bit floats", "float32")] = None
    endianness: Annotated[object, NotOffered("numbers are packed with the lowest byte first", "native", "little")] = None
    use_activation: Annotated[object, NotOffered("vectors have the length 1", True)] = None
    messages: Annotated[object, NotOffered(NO_CHAT)] = None
    add_generation_prompt: Annotated[object, NotOffered(NO_CHAT, False)] = None
    continue_final_message: Annotated[object, NotOffered(NO_CHAT, False)] = None
    chat_template: Annotated[object, NotOffered(NO_CHAT)] = None
    chat_template_kwargs: Annotated[object, NotOffered(NO_CHAT, {})] = None
    media_io_kwargs: Annotated[object, NotOffered(NO_CHAT, {})] = None


class TokenizeRequest(Body):
    """The body of ``POST /tokenize``: a text, or messages as a chat completion would read them."""

    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    return_token_strs: bool | None = None
    add_special_tokens: Annotated[bool | None, NO_SPECIAL_TOKENS] = None
    tools: Annotated[object, NotOffered("this model cannot call tools")] = None
    add_generation_prompt: Annotated[object, NotOffered(NO_TEMPLATE, True)] = None
    continue_final_message: Annotated[object, NotOffered(NO_TEMPLATE, False)] = None
    chat_template: Annotated[object, NotOffered(NO_TEMPLATE)] = None
    chat_template_kwargs: Annotated[object, NotOffered(NO_TEMPLATE, {})] = None
    media_io_kwargs: Annotated[object, NotOffered("this model reads text only", {})] = None
    mm_processor_kwargs: Annotated[object, NotOffered("this model reads text only", {})] = None

    def check(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            raise conflict("prompt", "expected either prompt or messages")


class DetokenizeRequest(Body):
    """The body of ``POST /detokenize``."""

    tokens: list[int]
