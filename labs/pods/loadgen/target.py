"""The two APIs a request can go to, and how to read their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labs.pods.loadgen.prompts import Prompt
from labs.pods.loadgen.record import SERVED_BY, Record
from labs.wire.sse import Event


class StreamError(Exception):
    """The stream reported a failure after it had begun with status 200."""


class Target(Protocol):
    """An API: what to post where, and how to read its answers into a record."""

    @property
    def path(self) -> str: ...

    def body(self, prompt: Prompt) -> dict[str, Any]: ...

    def read_headers(self, headers: Mapping[str, str], record: Record) -> None: ...

    def read_json(self, answer: Any, record: Record) -> None: ...

    def read_event(self, event: Event, record: Record) -> bool:
        """Read one event of a stream; True if it carried a piece of the answer.

        Raises:
            StreamError: the event reports a failure.
        """
        ...


@dataclass(frozen=True)
class OpenAiTarget:
    """The model server itself."""

    stream: bool
    max_tokens: int
    path: str = "/v1/chat/completions"

    def body(self, prompt: Prompt) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt.text}], "max_tokens": self.max_tokens}
        if prompt.answer_tokens:
            # vLLM's extension: without it the model decides where the answer ends.
            body |= {"max_tokens": prompt.answer_tokens, "ignore_eos": True}
        return body | ({"stream": True, "stream_options": {"include_usage": True}} if self.stream else {})

    def read_headers(self, headers: Mapping[str, str], record: Record) -> None:
        for name in SERVED_BY:
            setattr(record, name, headers.get(f"x-served-by-{name}"))
        if "x-inference-seconds" in headers:
            record.model_seconds = float(headers["x-inference-seconds"])

    def read_json(self, answer: Any, record: Record) -> None:
        record.tokens = answer["usage"]["completion_tokens"]

    def read_event(self, event: Event, record: Record) -> bool:
        if event.data == "[DONE]":
            return False
        chunk = json.loads(event.data)
        if "error" in chunk:
            raise StreamError(chunk["error"]["message"])
        if chunk.get("usage"):
            record.tokens = chunk["usage"]["completion_tokens"]
        return any(choice["delta"].get("content") for choice in chunk["choices"])


@dataclass(frozen=True)
class ChatTarget:
    """The chat's API, which names who answered in the body."""

    path: str = "/api/chat"

    def body(self, prompt: Prompt) -> dict[str, Any]:
        return {"message": prompt.text}

    def read_headers(self, headers: Mapping[str, str], record: Record) -> None:
        pass

    def read_json(self, answer: Any, record: Record) -> None:
        for name in SERVED_BY:
            setattr(record, name, answer.get(name))
        record.tokens = answer["timings"].get("tokens") or 0
        record.model_seconds = answer["timings"].get("model")

    def read_event(self, event: Event, record: Record) -> bool:
        body = json.loads(event.data)
        if event.name == "error":
            raise StreamError(body["error"]["message"])
        if event.name == "done":
            self.read_json(body, record)
        return event.name == "token"
