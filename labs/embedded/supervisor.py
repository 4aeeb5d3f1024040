"""The one process that owns all others: ``python -m labs.embedded.supervisor``.

It starts the children, restarts those that die, and answers on the control endpoint (``labs.embedded.control`` is its client).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from typing import Any

from aiohttp import web

from labs import config, errors
from labs.embedded import children, plan
from labs.embedded.child import Child, ChildSpec
from labs.embedded.control import TOKEN_FILE
from labs.embedded.watchdog import run_under_watchdog

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the children named in ``specs``; ``run`` returns when they have all been stopped."""

    def __init__(self, specs: list[ChildSpec]) -> None:
        self._started = time.time()
        self._stop = asyncio.Event()
        self._children = {spec.name: Child(spec, config.log_path(spec.name), self._note_ready) for spec in specs}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, token: str) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        runner = await self._serve(token)
        for child in self._children.values():
            needs = [self._children[name] for name in child.spec.after]
            self._tasks.append(asyncio.create_task(child.run(needs)))
        await self._stop.wait()
        await self._stop_children()
        await runner.cleanup()

    async def _stop_children(self) -> None:
        """In order of ``stop_order``: first those that use the API, then the API servers, etcd last."""
        for order in sorted({child.spec.stop_order for child in self._children.values()}):
            group = [child.stop() for child in self._children.values() if child.spec.stop_order == order]
            await asyncio.gather(*group)
        for task in self._tasks:
            task.cancel()

    def _note_ready(self) -> None:
        if all(child.state in ("running", "done") for child in self._children.values()):
            log.info("all children run, %.1f s after the start", time.time() - self._started)

    async def _serve(self, token: str) -> web.AppRunner:
        app = web.Application(middlewares=[_require(token)])
        app.add_routes(
            [
                web.get("/identity", self._identity),
                web.get("/children", self._list),
                web.post("/stop", self._request_stop),
                web.post("/children/restart", self._restart),
                web.post("/children/kill", self._kill),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, plan.CONTROL_HOST, plan.CONTROL_PORT).start()
        return runner

    async def _identity(self, _: web.Request) -> web.Response:
        whose = {"checkout": str(config.ROOT), "state": str(config.STATE), "pid": os.getpid()}
        return web.json_response({"lab": "boring-ops-lab", **whose})

    async def _list(self, _: web.Request) -> web.Response:
        rows = [child.describe() for child in self._children.values()]
        return web.json_response({"pid": os.getpid(), "started": self._started, "children": rows})

    async def _request_stop(self, _: web.Request) -> web.Response:
        self._stop.set()
        return web.json_response({})

    async def _restart(self, request: web.Request) -> web.Response:
        self._find(await request.json()).restart()
        return web.json_response({})

    async def _kill(self, request: web.Request) -> web.Response:
        body = await request.json()
        child = self._find(body)
        pid = child.pid
        child.signal(int(body.get("signal", signal.SIGKILL)))
        return web.json_response({"pid": pid})

    def _find(self, body: dict[str, Any]) -> Child:
        name = body.get("name", "")
        if name not in self._children:
            error = errors.NotFound("process", name, list(self._children))
            raise web.HTTPNotFound(text=error.message)
        return self._children[name]


def _require(token: str) -> Any:
    """Anyone on this machine may ask who runs here; anything else needs the token in ``.lab``."""

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path != "/identity" and request.headers.get("Authorization") != f"Bearer {token}":
            raise web.HTTPUnauthorized(text=f"expected the token of {TOKEN_FILE}")
        return await handler(request)

    return middleware


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(Supervisor(children.specs()).run(TOKEN_FILE.read_text().strip()))
    return 0


if __name__ == "__main__":
    sys.exit(run_under_watchdog(main))
