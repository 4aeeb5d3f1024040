"""The input of a request: texts, token ids, or the messages of a conversation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from labs.pods.model_server import tokens
from labs.pods.model_server.request_body import NoEffect, NotOffered

Item = str | tuple[int, ...]
"""A text, or the ids of its tokens."""
TEXT_PARTS = {"text": "text", "refusal": "refusal"}
"""The types of a message's parts that hold text, and the field that holds it."""


@dataclass(frozen=True)
class Prompt:
    """What the model reads of one request, and the question in it."""

    text: str
    ids: tuple[int, ...] | None = None
    """Given in place of the text; then these are counted."""
    question: str | None = None
    """None: the whole prompt."""

    def pieces(self, most: int | None = None) -> list[str]:
        """The tokens, or the first ``most`` of them."""
        return tokens.split(self.text, most) if self.ids is None else [tokens.decode(id) for id in self.ids[:most]]


def prompt_of(item: Item) -> Prompt:
    """The prompt in a text or in token ids.

    Raises:
        UnknownToken: an id is not in the vocabulary.
    """
    return Prompt(item) if isinstance(item, str) else Prompt("".join(map(tokens.decode, item)), item)


def _items(value: object) -> tuple[Item, ...]:
    """``"a"``, ``["a", "b"]``, ``[1, 2]`` or ``[[1, 2], [3]]`` as a tuple of items, none of them empty."""
    given = [value] if isinstance(value, str) or _ids(value) else value
    if not isinstance(given, list) or not given:
        raise _wrong_items()
    texts = all(isinstance(item, str) and item for item in given)
    if not texts and not all(_ids(item) for item in given):
        raise _wrong_items()
    return tuple(item if isinstance(item, str) else _known(item) for item in given)


def _ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _known(ids: list[int]) -> tuple[int, ...]:
    try:
        for id in ids:
            tokens.decode(id)
    except tokens.UnknownToken as error:
        raise PydanticCustomError("unknown_token", "{reason}", {"reason": str(error)}) from error
    return tuple(ids)


def _wrong_items() -> PydanticCustomError:
    return PydanticCustomError("items_type", "expected a text, a list of texts, token ids or lists of token ids, none empty")


Items = Annotated[tuple[Item, ...], PlainValidator(_items)]
"""The type of ``prompt`` and ``input``."""


def _content(value: object) -> str | None:
    """A message's text: a string, or a list of parts."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise PydanticCustomError("content_type", "expected a text or a list of parts")
    return " ".join(_part(part) for part in value)


def _part(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or not isinstance(part, dict):
        raise PydanticCustomError("part_type", "expected each part to be an object with a type")
    if kind not in TEXT_PARTS:
        raise PydanticCustomError("not_offered", "{reason}", {"reason": "this model reads text only"})
    text = part.get(TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise PydanticCustomError("part_text_type", "expected each text part to have a text")
    return text


class Message(BaseModel):
    """One message of a conversation. The assistant's earlier answers, its tool calls and their results are read as text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: Annotated[str | None, PlainValidator(_content)] = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: Annotated[str | None, NoEffect("which call a result belongs to is clear from their order")] = None
    function_call: dict[str, Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    audio: Annotated[object, NotOffered("this model reads text only")] = None
    annotations: Annotated[list[dict[str, Any]] | None, NoEffect("clients send earlier answers back as they came")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if not any(value is not None for value in (self.content, self.refusal, self.tool_calls, self.function_call)):
            raise PydanticCustomError("missing_content", "expected a message with a content")
        return self

    @property
    def text(self) -> str:
        """Everything the model reads of it after the role."""
        calls = [json.dumps(call, separators=(",", ":")) for call in (*(self.tool_calls or ()), self.function_call) if call]
        said = (self.reasoning or self.reasoning_content, self.content, self.refusal, *calls)
        return "\n".join(part for part in said if part)


def conversation(messages: list[Message]) -> Prompt:
    """All messages as one prompt; the question is what the user said last, or else the last message."""
    lines = [f"{m.role} ({m.name}): {m.text}" if m.name else f"{m.role}: {m.text}" for m in messages]
    asked = [message.text for message in messages if message.role == "user"]
    return Prompt("\n".join(lines), question=asked[-1] if asked else messages[-1].text)
