"""The chat's HTTP side: the page, the API the page uses, and health."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from aiohttp import web

from labs.pods.chat.upstream import ModelServer, UpstreamError
from labs.wire.sse import encode

log = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
MAX_MESSAGE = 4000
"""Characters of a question: more than anyone types, less than a prompt may have."""
SECURITY = {
    # The page is one file and talks to its own origin only.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class BadQuestion(ValueError):
    """The request's body is not ``{"message": TEXT}``."""


def question(body: Any) -> str:
    """The message in a decoded body.

    Raises:
        BadQuestion: there is none, or it is too long.
    """
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str) or not message.strip():
        raise BadQuestion('expected {"message": "your question"}')
    if len(message) > MAX_MESSAGE:
        raise BadQuestion(f"expected at most {MAX_MESSAGE} characters; found {len(message)}")
    return message.strip()


class Chat:
    """The handlers."""

    def __init__(self, model: ModelServer) -> None:
        self._model = model
        self._page = PAGE.read_text(encoding="utf-8")

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.page)
        app.router.add_post("/api/chat", self.chat)
        app.router.add_get("/health", self.health)
        return app

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html", headers=SECURITY)

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """JSON, or server-sent events for a client that accepts them: ``token`` … ``done``, or ``error``."""
        try:
            message = question(await request.json())
            if "text/event-stream" in request.headers.get("Accept", ""):
                return await self._stream(request, message)
            answer = await self._model.ask(message)
            return web.json_response(answer.body())
        except (BadQuestion, json.JSONDecodeError) as error:
            return web.json_response({"error": {"message": str(error), "status": 400, "hop": "chat"}}, status=400)
        except UpstreamError as error:
            log.warning("%s from %s: %s", error.status, error.hop, error)
            return web.json_response(error.body(), status=error.status, headers=error.headers)

    async def _stream(self, request: web.Request, message: str) -> web.StreamResponse:
        async with self._model.stream(message) as (answer, pieces):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
            await response.prepare(request)
            try:
                async for piece in pieces:
                    await response.write(_event("token", {"text": piece}))
                await response.write(_event("done", answer.body()))
            except UpstreamError as error:
                log.warning("in the stream, from %s: %s", error.hop, error)
                await response.write(_event("error", error.body()))
            await response.write_eof()
            return response


def _event(name: str, body: dict[str, Any]) -> bytes:
    return encode(json.dumps(body, separators=(",", ":")), name)
