"""The chat's HTTP side: the page, the API the page uses, and health."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from labs.pods.chat.trouble import ChatError
from labs.pods.chat.upstream import ModelServer
from labs.wire.json_body import BadBody, read_json
from labs.wire.request_id import KEY, give_id, sign
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


def question(body: object) -> str:
    """The message in a decoded body.

    Raises:
        ChatError: 400, the message is missing or too long.
    """
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str) or not message.strip():
        raise ChatError(400, "chat", 'expected {"message": "your question"}')
    if len(message) > MAX_MESSAGE:
        raise ChatError(400, "chat", f"expected at most {MAX_MESSAGE} characters; found {len(message)}")
    return message.strip()


class ChatApi:
    """The handlers."""

    def __init__(self, model: ModelServer) -> None:
        self._model = model
        self._page = PAGE.read_text(encoding="utf-8")

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_errors])
        app.on_response_prepare.append(sign)
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
        message = question(await read_json(request, typed=False))
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._stream(request, message)
        answer = await self._model.ask(message, request[KEY])
        return web.json_response(answer.body())

    async def _stream(self, request: web.Request, message: str) -> web.StreamResponse:
        async with self._model.stream(message, request[KEY]) as (answer, pieces):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
            await response.prepare(request)
            try:
                async for piece in pieces:
                    await response.write(_event("token", {"text": piece}))
                await response.write(_event("done", answer.body()))
            except ChatError as error:
                log.warning("%s: in the stream, %s from %s: %s", request[KEY], error.status, error.hop, error)
                await response.write(_event("error", error.body(request[KEY])))
            await response.write_eof()
            return response


def _event(name: str, body: dict[str, Any]) -> bytes:
    return encode(json.dumps(body, separators=(",", ":")), name)


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Every failure leaves in one shape, with the request's id."""
    id = give_id(request)
    try:
        return await handler(request)
    except ChatError as error:
        if error.hop != "chat":
            log.warning("%s: %s from %s: %s", id, error.status, error.hop, error)
        return web.json_response(error.body(id), status=error.status, headers=error.headers)
    except BadBody as error:
        answer = web.json_response(ChatError(error.status, "chat", str(error)).body(id), status=error.status)
        answer.force_close()
        return answer
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response(ChatError(error.status, "chat", error.reason).body(id), status=error.status, headers=headers)
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("%s: %s %s failed", id, request.method, request.path)
        return web.json_response(ChatError(500, "chat", "internal error; see the chat's log").body(id), status=500)
