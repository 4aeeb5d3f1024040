"""The HTTP side: OpenAI's endpoints, the Open Inference Protocol, health and ``/metrics``, which also has its own port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from labs.pods.model_server.api_errors import ApiError, error_body
from labs.pods.model_server.engine import Engine, QueueFull
from labs.pods.model_server.inference_protocol import InferenceProtocol
from labs.pods.model_server.lifecycle import Lifecycle, Phase
from labs.pods.model_server.metrics import Metrics
from labs.pods.model_server.openai_handlers import OpenAiApi
from labs.pods.model_server.sequence import EngineError, Finish, Sequence
from labs.wire.json_body import BadBody
from labs.wire.request_id import KEY, give_id, sign

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 2**20
"""Limit of a request's body: far above a prompt's, so that the error for a long prompt gives its length in tokens."""
RECENT = 1.0
"""Seconds for which the last token counts as a proof of life."""
PROBE_DEADLINE = 1.5
"""Seconds the probe's token may take: less than the two that a probe waits."""


@dataclass(frozen=True)
class Server:
    """The handlers and what they need. ``served_by`` are the headers that name pod, node, GPU and cluster."""

    engine: Engine
    lifecycle: Lifecycle
    metrics: Metrics
    openai: OpenAiApi
    inference: InferenceProtocol
    served_by: dict[str, str]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[openai_errors], client_max_size=MOST_BYTES)
        app.on_response_prepare.extend([self._sign, sign])
        app.router.add_routes([*self.openai.routes(), *self.inference.routes()])
        app.router.add_get("/metrics", self.scrape)
        app.router.add_get("/health", self.health)
        app.router.add_get("/health_generate", self.health_generate)
        return app

    def metrics_application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metrics", self.scrape)
        return app

    async def _sign(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(self.served_by)

    async def health(self, _: web.Request) -> web.Response:
        """As in vLLM: 200 while the engine lives. It does not run a token, so a wedged GPU goes unnoticed here."""
        if self.lifecycle.phase is Phase.SERVING:
            return web.Response()
        return web.Response(status=503, text=self.lifecycle.detail + "\n")

    async def health_generate(self, request: web.Request) -> web.Response:
        """200 if a token came out a moment ago, or comes out now; the path and the idea are SGLang's. For a readiness probe that
        should see a wedged GPU: put it in the place of ``/health`` in the Deployment."""
        alive = await self.health(request)
        if alive.status != 200 or asyncio.get_running_loop().time() - self.engine.last_result < RECENT:
            return alive
        probe = Sequence(["ping"], ["pong"], Finish.STOP, 1)
        try:
            with self.engine.submit(probe, deadline=PROBE_DEADLINE):
                async for _ in probe:
                    pass
        except (EngineError, QueueFull) as error:
            return web.Response(status=503, text=f"no token: {error}\n")
        return web.Response()

    async def scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def openai_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error leaves in OpenAI's shape, also those of the HTTP library and our own mistakes."""
    give_id(request)
    try:
        return await handler(request)
    except BadBody as error:
        answer = web.json_response(error_body(error.status, str(error)), status=error.status)
        answer.force_close()  # the rest of the body cannot be told from the next request
        return answer
    except ApiError as error:
        return web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPException as error:
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response(error_body(error.status, error.reason), status=error.status, headers=allowed)
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("%s: %s %s failed", request[KEY], request.method, request.path)
        message = f"internal error in request {request[KEY]} at {time.strftime('%H:%M:%S')}; see the log"
        return web.json_response(error_body(500, message), status=500)
