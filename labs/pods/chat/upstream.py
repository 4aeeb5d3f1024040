"""The model server as the chat sees it: one question, a stream of pieces, and where a failure came from."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from labs.pods.chat.trouble import ChatError
from labs.wire.request_id import HEADER
from labs.wire.sse import Decoder, Event

Json = dict[str, Any]

SERVED_BY = ("cluster", "pod", "node", "gpu")
DONE = "[DONE]"
IN_STREAM = {"deadline_exceeded": 504, "model_loading": 503, "queue_full": 429}
"""The status that an error in a stream would have had, by its code; 500 for any other."""
KEPT_HEADERS = ("l5d-proxy-error", "retry-after")
"""Headers of an error that are passed on to the chat's own client."""


@dataclass
class ChatAnswer:
    """An answer in progress. Times are seconds since the question was sent."""

    served_by: dict[str, str | None]
    request_id: str
    started: float
    text: list[str] = field(default_factory=list)
    tokens: int = 0
    first_token: float | None = None
    model: float | None = None
    """Time inside the model server, by its own clock; unknown while streaming."""

    def add(self, piece: str) -> None:
        self.first_token = self.first_token or time.monotonic() - self.started
        self.text.append(piece)

    def body(self) -> Json:
        timings = {
            "first_token": _rounded(self.first_token),
            "model": self.model,
            "total": _rounded(time.monotonic() - self.started),
            "tokens": self.tokens,
        }
        return {"answer": "".join(self.text), **self.served_by, "request_id": self.request_id, "timings": timings}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


@dataclass(frozen=True)
class ModelServer:
    """Where questions go: ``url`` is a base URL; the session honours HTTP_PROXY, which is the mesh where there is one."""

    http: aiohttp.ClientSession
    url: str
    model: str

    async def ask(self, message: str, request_id: str) -> ChatAnswer:
        """The whole answer at once.

        Raises:
            ChatError: it failed; says where.
        """
        async with self._post(message, request_id, {}) as (response, answer):
            with self._failures():
                body = await response.json()
                answer.text = [body["choices"][0]["message"]["content"]]
                answer.tokens = body["usage"]["completion_tokens"]
                seconds = response.headers.get("x-inference-seconds")
                answer.model = float(seconds) if seconds else None
            return answer

    @asynccontextmanager
    async def stream(self, message: str, request_id: str) -> AsyncIterator[tuple[ChatAnswer, AsyncIterator[str]]]:
        """The answer while it is generated: iterate over the pieces, then read the rest from the answer.

        Raises:
            ChatError: it failed, on entering or while iterating.
        """
        options = {"stream": True, "stream_options": {"include_usage": True}}
        async with self._post(message, request_id, options) as (response, answer):
            yield answer, self._pieces(response, answer)

    @asynccontextmanager
    async def _post(
        self, message: str, request_id: str, options: Json
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, ChatAnswer]]:
        body = {"model": self.model, "messages": [{"role": "user", "content": message}], **options}
        started = time.monotonic()
        with self._failures():
            headers = {HEADER: request_id}
            response = await self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)
            if response.status != 200:
                raise await _error_of(response)
        async with response:
            served_by = {name: response.headers.get(f"x-served-by-{name}") for name in SERVED_BY}
            yield response, ChatAnswer(served_by, request_id, started)

    async def _pieces(self, response: aiohttp.ClientResponse, answer: ChatAnswer) -> AsyncIterator[str]:
        decoder = Decoder()
        chunks = response.content.iter_any()
        while True:
            # Only reads are covered here: a failure while passing a piece on is not the model server's fault.
            with self._failures():
                events = decoder.feed(await anext(chunks, b""))
            for event in events:
                if event.data == DONE:
                    return
                with self._failures():
                    piece = _piece(event, answer)
                if piece:
                    answer.add(piece)
                    yield piece
            if response.content.at_eof():
                raise ChatError(502, "network", "the stream ended before the answer did")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the HTTP library and a wrong answer raise into a ChatError."""
        try:
            yield
        except TimeoutError as error:
            raise ChatError(504, "network", f"no answer from {self.url} in time") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            raise ChatError(502, "network", f"cannot reach {self.url}: {error}") from error
        except (aiohttp.ClientError, ValueError, LookupError, TypeError) as error:
            raise ChatError(502, "model server", f"an answer that does not fit the API: {error!r}") from error


def _piece(event: Event, answer: ChatAnswer) -> str:
    chunk = json.loads(event.data)
    if "error" in chunk:
        code = chunk["error"].get("code")
        raise ChatError(IN_STREAM.get(code, 500), "model server", str(chunk["error"]["message"]), code=code)
    if chunk.get("usage"):
        answer.tokens = chunk["usage"]["completion_tokens"]
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


async def _error_of(response: aiohttp.ClientResponse) -> ChatError:
    """What an answer other than 200 means. The model server signs all it sends; an unsigned one came from a proxy on the way."""
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    # errors="replace": what a proxy sends need not be text.
    text = await response.text(errors="replace")
    hop = "model server" if "x-served-by-pod" in response.headers and "l5d-proxy-error" not in headers else "mesh"
    message, code = headers.get("l5d-proxy-error") or text.strip() or response.reason or "no message", None
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        error = json.loads(text)["error"]
        message, code = str(error["message"]), error.get("code")
    return ChatError(response.status, hop, message, headers, code)
