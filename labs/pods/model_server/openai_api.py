"""The OpenAI API's shapes: what a request may say, and how answers, stream chunks and errors look."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer with an error status, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = error_body(status, message, param, code)


TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error", 504: "server_error"}


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> Json:
    """``{"error": {message, type, param, code}}``; the type follows from the status."""
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Request:
    """What a client asked for, of either API; sampling settings are accepted and have no effect, since answers are looked up."""

    prompt: str
    """Everything the model reads, for counting its tokens."""
    question: str
    """The last thing the user said."""
    chat: bool
    stream: bool
    include_usage: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    ignore_eos: bool
    """vLLM's extension, for load generators: the answer has exactly ``max_tokens`` tokens."""


def parse(body: Any, model: str, *, chat: bool) -> Request:
    """The request in a decoded JSON ``body``.

    Raises:
        ApiError: 400 or 404, naming the parameter that is off.
    """
    check_model(body, model)
    if body.get("n", 1) != 1:
        raise ApiError(400, f"expected n to be 1, the only number this server offers; found {body['n']!r}", param="n")
    prompt, question = _messages(body) if chat else _prompt(body)
    options = body.get("stream_options") or {}
    return Request(
        prompt=prompt,
        question=question,
        chat=chat,
        stream=_flag(body, "stream"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_max_tokens(body),
        stop=_stop(body),
        ignore_eos=_flag(body, "ignore_eos"),
    )


def check_model(body: Any, model: str) -> None:
    """Refuse what is no object, and a model that is not served.

    Raises:
        ApiError: 400 or 404.
    """
    if not isinstance(body, dict):
        raise ApiError(400, f"expected a JSON object; found {type(body).__name__}")
    if body.get("model", model) != model:
        raise ApiError(
            404, f"The model `{body['model']}` does not exist; there is: `{model}`.", param="model", code="model_not_found"
        )


@dataclass(frozen=True)
class EmbeddingRequest:
    """Texts to turn into vectors of ``dimensions`` numbers; as ``base64`` they travel packed."""

    texts: list[str]
    dimensions: int
    base64: bool


def parse_embedding(body: Any, model: str, most: int) -> EmbeddingRequest:
    """The request in a decoded JSON ``body``; ``most`` is the most dimensions there are.

    Raises:
        ApiError: 400 or 404, naming the parameter that is off.
    """
    check_model(body, model)
    texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise ApiError(400, "expected input to be a text or a list of texts, none of them empty", param="input")
    dimensions = body.get("dimensions", most)
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or not 1 <= dimensions <= most:
        raise ApiError(400, f"expected dimensions from 1 to {most}; found {dimensions!r}", param="dimensions")
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise ApiError(400, f"expected encoding_format to be float or base64; found {encoding!r}", param="encoding_format")
    return EmbeddingRequest(texts, dimensions, encoding == "base64")


def embeddings_body(model: str, vectors: list[Json], prompt_tokens: int) -> Json:
    """The answer to an embedding request."""
    tokens = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return {"object": "list", "model": model, "data": vectors, "usage": tokens}


def _messages(body: Json) -> tuple[str, str]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "expected messages to be a list with at least one message", param="messages")
    texts = [(_role(message), _content(message.get("content"))) for message in messages]
    asked = [text for role, text in texts if role == "user"]
    if not asked:
        raise ApiError(400, "expected at least one message with the role user", param="messages")
    return "\n".join(f"{role}: {text}" for role, text in texts), asked[-1]


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        raise ApiError(400, f"expected each message to be an object with a role; found {message!r}"[:300], param="messages")
    return role


def _content(content: Any) -> str:
    """A message's text: a string, or a list of parts of which the text parts count."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return " ".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    if content is None or isinstance(content, str):
        return content or ""
    raise ApiError(400, "expected a message's content to be a string or a list of parts", param="messages")


def _prompt(body: Json) -> tuple[str, str]:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise ApiError(400, "expected prompt to be a string (or a list of one)", param="prompt")
    return prompt, prompt


def _flag(body: Json, name: str) -> bool:
    value = body.get(name) or False
    if not isinstance(value, bool):
        raise ApiError(400, f"expected {name} to be true or false; found {value!r}", param=name)
    return value


def _max_tokens(body: Json) -> int | None:
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ApiError(400, f"expected {name} to be a whole number of at least 1; found {value!r}", param=name)
    return value


def _stop(body: Json) -> tuple[str, ...]:
    stop = body.get("stop") or []
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise ApiError(400, "expected stop to be a string or a list of strings", param="stop")
    return tuple(filter(None, stop))


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> Json:
    """Token counts; ``cached_tokens`` of the prompt were in the prefix cache."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


class Shaper:
    """Builds the bodies of one answer: they share its id and its time."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self._model = model
        self._chat = chat
        self._created = int(time.time())

    def full(self, text: str, finish: str, tokens: Json) -> Json:
        """The body of an answer that is not streamed."""
        content: Json = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text, "logprobs": None}
        kind = "chat.completion" if self._chat else "text_completion"
        return self._body(kind, [{"index": 0, **content, "finish_reason": finish}]) | {"usage": tokens}

    def role(self) -> Json:
        """The first chunk of a chat stream."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, text: str) -> Json:
        return self._chunk({"content": text}, None)

    def last(self, finish: str) -> Json:
        return self._chunk({}, finish)

    def usage(self, tokens: Json) -> Json:
        """The chunk after the last, for clients that asked for usage."""
        return self._body(self._chunk_kind, []) | {"usage": tokens}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _chunk(self, delta: Json, finish: str | None) -> Json:
        content: Json = {"delta": delta} if self._chat else {"text": delta.get("content", ""), "logprobs": None}
        return self._body(self._chunk_kind, [{"index": 0, **content, "finish_reason": finish}])

    def _body(self, kind: str, choices: list[Json]) -> Json:
        return {"id": self.id, "object": kind, "created": self._created, "model": self._model, "choices": choices}
