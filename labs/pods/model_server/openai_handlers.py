"""OpenAI's endpoints, and vLLM's two for tokens: chat completions, completions, embeddings, models, tokenize, detokenize."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from labs.pods.model_server import streaming, tokens
from labs.pods.model_server.answers import Answers, Choice
from labs.pods.model_server.api_errors import ApiError, Json, error_body
from labs.pods.model_server.chat_request import ChatRequest
from labs.pods.model_server.completion_request import CompletionRequest
from labs.pods.model_server.embeddings import DIMENSIONS, embed, to_base64
from labs.pods.model_server.engine import Engine, QueueFull
from labs.pods.model_server.generation_request import GenerationRequest
from labs.pods.model_server.lifecycle import Lifecycle, Phase
from labs.pods.model_server.other_requests import DetokenizeRequest, EmbeddingRequest, TokenizeRequest
from labs.pods.model_server.prompts import Prompt, conversation, prompt_of
from labs.pods.model_server.request_body import B, conflict, parse
from labs.pods.model_server.responses import Response, embeddings_body
from labs.pods.model_server.sequence import EngineError, Finish, share_output, together
from labs.pods.model_server.sequence import Sequence as EngineSequence
from labs.wire.json_body import read_json
from labs.wire.request_id import id_of

log = logging.getLogger(__name__)

DEADLINE = "x-request-timeout-seconds"
"""Header in which a client says how long it will wait for the complete answer; the server's own limit still applies."""


@dataclass(frozen=True)
class OpenAiApi:
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
            web.get("/v1/models/{model:.+}", self.retrieve_model),
            web.post("/tokenize", self.tokenize),
            web.post("/detokenize", self.detokenize),
        ]

    async def chat_completions(self, http: web.Request) -> web.StreamResponse:
        return await self._complete(http, await self._parse(ChatRequest, http), "chatcmpl")

    async def completions(self, http: web.Request) -> web.StreamResponse:
        return await self._complete(http, await self._parse(CompletionRequest, http), "cmpl")

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._model_entry()]})

    async def retrieve_model(self, http: web.Request) -> web.Response:
        parse(ChatRequest, {"model": http.match_info["model"], "messages": [{"role": "user", "content": ""}]}, self.model)
        return web.json_response(self._model_entry())

    def _model_entry(self) -> Json:
        owner = {"created": 0, "owned_by": "boring-ops-lab"}
        return {"id": self.model, "object": "model", **owner, "max_model_len": self.answers.max_model_len}

    async def _parse(self, kind: type[B], http: web.Request) -> B:
        return parse(kind, await read_json(http), self.model)

    async def tokenize(self, http: web.Request) -> web.Response:
        """A text's tokens, or everything the model would read of messages, the runbook's entries included."""
        request = await self._parse(TokenizeRequest, http)
        pieces = self.answers.read(conversation(request.messages))[0] if request.messages else tokens.split(request.prompt or "")
        ids = [tokens.encode(piece) for piece in pieces]
        strings = pieces if request.return_token_strs else None
        limit = self.answers.max_model_len
        return web.json_response({"count": len(ids), "max_model_len": limit, "tokens": ids, "token_strs": strings})

    async def detokenize(self, http: web.Request) -> web.Response:
        request = await self._parse(DetokenizeRequest, http)
        try:
            return web.json_response({"prompt": "".join(map(tokens.decode, request.tokens))})
        except tokens.UnknownToken as error:
            raise conflict("tokens", str(error)) from error

    async def embeddings(self, http: web.Request) -> web.Response:
        """The CPU makes the vectors; the GPU reads the texts like prompts, which takes time."""
        request = await self._parse(EmbeddingRequest, http)
        if (dimensions := request.dimensions or DIMENSIONS) > DIMENSIONS:
            raise conflict("dimensions", f"expected at most {DIMENSIONS}; found {dimensions}")
        self._refuse_while_loading()
        prompts = [prompt_of(item) for item in request.input]
        texts = [self._read(prompt, request) for prompt in prompts]
        until = asyncio.get_running_loop().time() + self._patience(http)
        for pieces in texts:
            await self._compute(EngineSequence(pieces, [], Finish.STOP, 1, salt=request.cache_salt or ""), until=until)
        vectors = [embed(self.answers.index, "".join(pieces), dimensions) for pieces in texts]
        packed: list[list[float] | str] = [to_base64(v) if request.encoding_format == "base64" else v for v in vectors]
        id = id_of(http, request.request_id)
        return web.json_response(embeddings_body(self.model, id, packed, sum(map(len, texts))))

    def _read(self, prompt: Prompt, request: EmbeddingRequest) -> list[str]:
        """The tokens of one input, truncated as the client asked."""
        limit, keep = self.answers.max_model_len, request.truncate_prompt_tokens
        pieces = prompt.pieces(limit + 1 if keep is None else None)
        if keep is not None:
            keep = limit if keep < 0 else keep
            pieces = pieces[:keep] if request.truncation_side == "right" else pieces[max(0, len(pieces) - keep) :]
        if len(pieces) > limit:
            message = f"This model's maximum context length is {limit} tokens; an input has more."
            raise ApiError(400, message, param="input", code="context_length_exceeded")
        return pieces or [""]

    async def _compute(self, sequence: EngineSequence, *, until: float) -> None:
        """Let the engine read a prompt, up to a deadline by the loop's clock."""
        left = max(0.0, until - asyncio.get_running_loop().time())
        with self._told(), self.engine.submit(sequence, deadline=left):
            async for _ in sequence:
                pass

    async def _complete(self, http: web.Request, request: GenerationRequest, prefix: str) -> web.StreamResponse:
        self._refuse_while_loading()
        choices = self.answers.choices(request)
        if len(choices) > self.engine.capacity:
            field = "n" if request.choices > 1 else request.prompt_param
            raise conflict(field, f"expected at most {self.engine.capacity} answers in one request; found {len(choices)}")
        response = Response(self.model, f"{prefix}-{id_of(http, request.request_id)}", request)
        share_output([choice.sequence for choice in choices])
        try:
            return await (self._stream if request.stream else self._whole)(http, response, choices)
        finally:
            _log(response.id, choices)

    def _refuse_while_loading(self) -> None:
        if self.lifecycle.phase is Phase.LOADING:
            raise ApiError(503, self.lifecycle.detail, code="model_loading", headers={"Retry-After": "1"})

    async def _whole(self, http: web.Request, response: Response, choices: Sequence[Choice]) -> web.StreamResponse:
        sequences = [choice.sequence for choice in choices]
        texts: dict[int, list[str]] = {id(sequence): [] for sequence in sequences}
        with self._told(), self.engine.submit(*sequences, deadline=self._patience(http)):
            async for sequence, token in together(sequences):
                texts[id(sequence)].append(token or "")
        seconds = asyncio.get_running_loop().time() - sequences[0].arrived
        body = response.whole(choices, ["".join(pieces) for pieces in texts.values()])
        return web.json_response(body, headers={"x-inference-seconds": f"{seconds:.4f}"})

    async def _stream(self, http: web.Request, response: Response, choices: Sequence[Choice]) -> web.StreamResponse:
        sequences = [choice.sequence for choice in choices]
        with self._told(), self.engine.submit(*sequences, deadline=self._patience(http)):
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
            await stream.prepare(http)
            tail = await _pieces(stream, response, choices)
        await stream.write(tail + streaming.DONE)
        await stream.write_eof()
        return stream

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what keeps the engine from answering into OpenAI's errors."""
        try:
            yield
        except QueueFull as full:
            headers = {"Retry-After": str(full.retry_after)}
            raise ApiError(429, f"The queue is full: {full}.", code="queue_full", headers=headers) from full
        except EngineError as error:
            raise ApiError(error.status, _message(error), code=error.code) from error

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
            raise ApiError(400, f"expected {DEADLINE} to be a number above 0; found {text!r}"[:300], param=DEADLINE)
        return min(seconds, self.deadline)


async def _pieces(stream: web.StreamResponse, response: Response, choices: Sequence[Choice]) -> bytes:
    """Send the pieces; return what is left to send once the slots are free."""
    try:
        async for data in streaming.frames(response, choices):
            await stream.write(data)
    except EngineError as error:
        # The status is already sent: an error in a stream is an event under 200, and proxies count it as a success.
        return streaming.frame(error_body(error.status, _message(error), code=error.code))
    options = response.request.stream_options
    return streaming.frame(response.counts(choices)) if options and options.include_usage else b""


def _message(error: EngineError) -> str:
    # A dead engine's requests fail in vLLM with an EngineDeadError; a missed deadline does not mean a dead engine.
    return f"EngineDeadError: {error}" if error.status == 500 else str(error)


def _log(id: str, choices: Sequence[Choice]) -> None:
    """One line for each request that reached the engine."""
    sequence = choices[0].sequence
    if sequence.ended is None:
        return
    first = "none" if sequence.first_token is None else f"{sequence.first_token - sequence.arrived:.3f} s"
    total = max(choice.sequence.ended or 0.0 for choice in choices) - sequence.arrived
    made, wanted = sum(c.sequence.generated for c in choices), sum(len(c.sequence.answer) for c in choices)
    log.info("%s first token %s, %d of %d tokens in %.3f s", id, first, made, wanted, total)
