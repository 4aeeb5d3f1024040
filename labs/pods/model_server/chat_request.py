"""A request for a chat completion, by OpenAI's and vLLM's schemas."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from labs.pods.model_server.api_errors import ApiError
from labs.pods.model_server.generation_request import NO_LOGITS, GenerationRequest
from labs.pods.model_server.prompts import Message, Prompt, conversation
from labs.pods.model_server.request_body import NoEffect, NotOffered, Tokens, conflict

NO_TEMPLATE = "this model has no chat template"
TEXT_ONLY = "this model reads and writes text only"
NO_TOOLS = "this model cannot call tools: it has no tool-call parser. Leave tools out, or set tool_choice to none"


class ChatRequest(GenerationRequest):
    """The body of ``POST /v1/chat/completions``."""

    prompt_param: ClassVar[str] = "messages"

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Tokens | None = None
    tools: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: Annotated[bool | None, NoEffect("there are no tool calls")] = None
    functions: Annotated[object, NotOffered(NO_TOOLS)] = None
    function_call: Annotated[object, NotOffered(NO_TOOLS, "none")] = None
    logprobs: Annotated[object, NotOffered(NO_LOGITS, False)] = None
    top_logprobs: Annotated[object, NotOffered(NO_LOGITS, 0)] = None

    # OpenAI's services around the model.
    audio: Annotated[object, NotOffered(TEXT_ONLY)] = None
    modalities: Annotated[object, NotOffered(TEXT_ONLY, ["text"])] = None
    metadata: Annotated[dict[str, str] | None, NoEffect("nothing is stored that it could be found by")] = None
    moderation: Annotated[object, NotOffered("nothing is moderated")] = None
    prediction: Annotated[dict[str, Any] | None, NoEffect("it could only make the answer faster")] = None
    prompt_cache_key: Annotated[str | None, NoEffect("each replica has one prefix cache for all")] = None
    prompt_cache_options: Annotated[dict[str, Any] | None, NoEffect("each replica has one prefix cache for all")] = None
    prompt_cache_retention: Annotated[Literal["in_memory", "24h"] | None, NoEffect("the cache keeps what it has room for")] = None
    reasoning_effort: Annotated[object, NotOffered("this model does not reason", "none")] = None
    include_reasoning: Annotated[bool | None, NoEffect("this model does not reason")] = None
    safety_identifier: Annotated[str | None, NoEffect("there are no accounts")] = None
    service_tier: Annotated[object, NotOffered("there is one tier", "auto", "default")] = None
    store: Annotated[object, NotOffered("nothing is stored", False)] = None
    verbosity: Annotated[object, NotOffered("answers are as long as the runbook has them", "medium")] = None
    web_search_options: Annotated[object, NotOffered("this model reads the runbook only")] = None

    # vLLM's own.
    return_prompt_text: bool | None = None
    echo: Annotated[object, NotOffered("an answer never continues the last message", False)] = None
    add_generation_prompt: Annotated[object, NotOffered(NO_TEMPLATE, True)] = None
    continue_final_message: Annotated[object, NotOffered(NO_TEMPLATE, False)] = None
    chat_template: Annotated[object, NotOffered(NO_TEMPLATE)] = None
    chat_template_kwargs: Annotated[object, NotOffered(NO_TEMPLATE, {})] = None
    documents: Annotated[object, NotOffered("this model reads the runbook only", [])] = None
    media_io_kwargs: Annotated[object, NotOffered(TEXT_ONLY, {})] = None

    @property
    def prompts(self) -> list[Prompt]:
        return [conversation(self.messages)]

    @property
    def limit(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def check(self) -> None:
        super().check()
        if self.limit == 0:
            raise conflict("max_tokens" if self.max_completion_tokens is None else "max_completion_tokens", "expected at least 1")
        self._check_tools()

    def _check_tools(self) -> None:
        """As vLLM does without a tool-call parser: tools that may not be called are allowed."""
        if self.tool_choice not in (None, "none", "auto", "required") and not isinstance(self.tool_choice, dict):
            raise conflict("tool_choice", "expected none, auto, required or an object that names a function")
        if self.tools is None and self.tool_choice not in (None, "none"):
            raise conflict("tool_choice", "when using tool_choice, tools must be set")
        if self.tools is not None and self.tool_choice != "none":
            raise ApiError(400, f"'tools' is not offered here: {NO_TOOLS}.", param="tools", code="unsupported_value")
