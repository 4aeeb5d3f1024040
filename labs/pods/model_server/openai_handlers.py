"""OpenAI's endpoints: chat completions, completions, embeddings, models."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import dataclass

from aiohttp import web

from labs.pods.model_server import tokens
from labs.pods.model_server.answers import Answers
from labs.pods.model_server.embeddings import DIMENSIONS, embed, to_base64
from labs.pods.model_server.engine import Engine, QueueFull
from labs.pods.model_server.lifecycle import Lifecycle, Phase
from labs.pods.model_server.openai_api import (
    ApiError,
    Json,
    Request,
    Shaper,
    embeddings_body,
    error_body,
    parse,
    parse_embedding,
    usage,
)
from labs.pods.model_server.sequence import EngineError, Finish, Sequence
from labs.wire.sse import encode

log = logging.getLogger(__name__)

DEADLINE = "x-request-timeout-seconds"
"""Header in which a client says how long it will wait for the complete answer; the server's own limit holds too."""


@dataclass(frozen=True)
class OpenAi:
    """The handlers and what they need. ``deadline`` in seconds: the longest a request may take, waiting included."""

    model: str
    answers: Answers
    engine: Engine
    lifecycle: Lifecycle
    deadline: float

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self.chat_completions),
            web.post("/v1/completions", self.completions),
            web.post("/v1/embeddings", self.embeddings),
            web.get("/v1/models", self.models),
            web.get(f"/v1/models/{self.model}", self.retrieve_model),
        ]

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, chat=True)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, chat=False)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._card()]})

    async def retrieve_model(self, _: web.Request) -> web.Response:
        return web.json_response(self._card())

    def _card(self) -> Json:
        owner = {"created": 0, "owned_by": "boring-ops-lab"}
        return {"id": self.model, "object": "model", **owner, "max_model_len": self.answers.max_model_len}

    async def embeddings(self, http: web.Request) -> web.Response:
        """The vectors are of the CPU's making; the card reads the texts as it reads prompts, and that takes its time."""
        request = parse_embedding(await _json(http), self.model, DIMENSIONS)
        self._refuse_while_loading()
        texts = [tokens.split(text) for text in request.texts]
        if any(len(text) > self.answers.max_model_len for text in texts):
            message = f"expected texts of at most {self.answers.max_model_len} tokens; found {max(map(len, texts))}"
            raise ApiError(400, message, param="input", code="context_length_exceeded")
        for text in texts:
            await self._run(http, Sequence(text, [], Finish.STOP, 1))
        vectors = [embed(self.answers.index, text, request.dimensions) for text in request.texts]
        data: list[Json] = [
            {"object": "embedding", "index": i, "embedding": to_base64(vector) if request.base64 else vector}
            for i, vector in enumerate(vectors)
        ]
        return web.json_response(embeddings_body(self.model, data, sum(map(len, texts))))

    async def _complete(self, http: web.Request, *, chat: bool) -> web.StreamResponse:
        request = parse(await _json(http), self.model, chat=chat)
        self._refuse_while_loading()
        sequence = self.answers.sequence(request)
        answer = Shaper(self.model, chat=chat)
        try:
            if request.stream:
                return await self._stream(http, request, sequence, answer)
            text = await self._run(http, sequence)
            body = answer.full(text, sequence.finish.value, _usage(sequence))
            seconds = asyncio.get_running_loop().time() - sequence.arrived
            return web.json_response(body, headers={"x-inference-seconds": f"{seconds:.4f}"})
        finally:
            _log(answer.id, sequence)

    def _refuse_while_loading(self) -> None:
        if self.lifecycle.phase is Phase.LOADING:
            raise ApiError(503, self.lifecycle.detail, code="model_loading", headers={"Retry-After": "1"})

    async def _run(self, http: web.Request, sequence: Sequence) -> str:
        """The whole text."""
        try:
            with self.engine.submit(sequence, self._patience(http)):
                return "".join([piece async for piece in sequence])
        except QueueFull as full:
            raise _busy(full) from full
        except EngineError as error:
            raise ApiError(error.status, _message(error), code=error.code) from error

    async def _stream(self, http: web.Request, request: Request, sequence: Sequence, answer: Shaper) -> web.StreamResponse:
        try:
            with self.engine.submit(sequence, self._patience(http)):
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
                await response.prepare(http)
                tail = await self._pieces(response, request, sequence, answer)
        except QueueFull as full:
            raise _busy(full) from full
        except EngineError as error:  # raised on entry: nothing is sent yet
            raise ApiError(error.status, _message(error), code=error.code) from error
        await response.write(tail + encode("[DONE]"))
        await response.write_eof()
        return response

    async def _pieces(self, response: web.StreamResponse, request: Request, sequence: Sequence, answer: Shaper) -> bytes:
        """Send the pieces; what is left to send is returned, once the sequence's slot is free."""
        first = request.chat
        try:
            async for piece in sequence:
                # vLLM sends the role only with the engine's first result: time to first byte is time to first token.
                head = _frame(answer.role()) if first else b""
                first = False
                await response.write(head + _frame(answer.piece(piece)))
        except EngineError as error:
            # The status is long sent: an error in a stream is an event under 200, and proxies count it as a success.
            return _frame(error_body(error.status, _message(error), code=error.code))
        tail = _frame(answer.last(sequence.finish.value))
        return tail + (_frame(answer.usage(_usage(sequence))) if request.include_usage else b"")

    def _patience(self, http: web.Request) -> float:
        """Seconds until the request's deadline: the client's, or the server's if that is sooner."""
        text = http.headers.get(DEADLINE)
        if text is None:
            return self.deadline
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not seconds > 0:
            raise ApiError(400, f"expected {DEADLINE} to be a number above 0; found {text!r}", param=DEADLINE)
        return min(seconds, self.deadline)


def _busy(full: QueueFull) -> ApiError:
    return ApiError(429, f"The queue is full: {full}.", code="queue_full", headers={"Retry-After": str(full.retry_after)})


def _message(error: EngineError) -> str:
    # A dead engine's requests fail in vLLM with an EngineDeadError; a missed deadline is nothing that died.
    return f"EngineDeadError: {error}" if error.status == 500 else str(error)


def _usage(sequence: Sequence) -> Json:
    return usage(sequence.prompt_tokens, sequence.generated, sequence.cached)


def _frame(body: Json) -> bytes:
    return encode(json.dumps(body, separators=(",", ":")))


async def _json(http: web.Request) -> object:
    try:
        return await http.json()
    except ValueError as error:
        raise ApiError(400, f"expected the body to be JSON: {error}") from error


def _log(id: str, sequence: Sequence) -> None:
    """One line for each request that reached the engine."""
    if sequence.ended is None:
        return
    first = "none" if sequence.first_token is None else f"{sequence.first_token - sequence.arrived:.3f} s"
    total = sequence.ended - sequence.arrived
    log.info("%s first token %s, %d of %d tokens in %.3f s", id, first, sequence.generated, len(sequence.answer), total)
