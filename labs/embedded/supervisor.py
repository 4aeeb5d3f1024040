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
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from labs import config, errors
from labs.embedded import children, control
from labs.embedded.child import Child, ChildSpec
from labs.embedded.watchdog import run_under_watchdog
from labs.paths import Paths

log = logging.getLogger(__name__)


class Supervisor:
    """Owns the children that ``specs()`` returns, when it starts and whenever it reloads.

    ``run`` returns when all of them have been stopped.
    """

    def __init__(self, specs: Callable[[], Sequence[ChildSpec]]) -> None:
        self._specs = specs
        self._paths = Paths.current()
        self._network = control.network()
        self._started = time.time()
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._children: dict[str, Child] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        runner = await self._serve()
        await self.reload()
        await self._stop.wait()
        async with self._reloading:
            await self._stop_children(list(self._children))
        await runner.cleanup()

    async def reload(self) -> None:
        """Stop the children that ``specs()`` no longer names and start the new ones; the others are left alone."""
        async with self._reloading:
            wanted = {spec.name: spec for spec in self._specs()}
            await self._stop_children([name for name in self._children if name not in wanted])
            for name in [name for name in wanted if name not in self._children]:
                self._children[name] = Child(wanted[name], self._paths.log(name), self._note_ready)
                needs = [self._children[other] for other in wanted[name].after]
                self._tasks[name] = asyncio.create_task(self._children[name].run(needs))
            # In the order in which ``lab status`` shows them.
            self._children = {name: self._children[name] for name in wanted}

    async def _stop_children(self, names: Sequence[str]) -> None:
        """In order of ``stop_order``: first those that use the API, then the API servers, etcd last."""
        leaving = [self._children[name] for name in names]
        for order in sorted({child.spec.stop_order for child in leaving}):
            await asyncio.gather(*(child.stop() for child in leaving if child.spec.stop_order == order))
        for name in names:
            self._tasks.pop(name).cancel()
            del self._children[name]

    def _note_ready(self) -> None:
        if all(child.state in ("running", "done") for child in self._children.values()):
            log.info("all children run, %.1f s after the start", time.time() - self._started)

    async def _serve(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes(
            [
                web.get("/identity", self._identity),
                web.get("/children", self._list),
                web.post("/stop", self._request_stop),
                web.post("/reload", self._reload),
                web.post("/children/restart", self._restart),
                web.post("/children/kill", self._kill),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        path = control.socket_path()
        # Only its owner can reach the socket: this is the only access control, and it needs no secret.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.chmod(0o700)
        path.unlink(missing_ok=True)
        await web.UnixSite(runner, str(path)).start()
        return runner

    async def _identity(self, _: web.Request) -> web.Response:
        where = {"checkout": str(config.ROOT), "state": str(self._paths.state)}
        return web.json_response({"lab": "boring-ops-lab", **where, "pid": os.getpid(), "network": self._network})

    async def _list(self, _: web.Request) -> web.Response:
        rows = [child.describe() for child in self._children.values()]
        return web.json_response({"pid": os.getpid(), "started": self._started, "children": rows})

    async def _request_stop(self, _: web.Request) -> web.Response:
        self._stop.set()
        return web.json_response({})

    async def _reload(self, _: web.Request) -> web.Response:
        try:
            await self.reload()
        except errors.LabError as error:
            raise web.HTTPConflict(text=str(error)) from error
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


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(Supervisor(children.specs).run())
    return 0


if __name__ == "__main__":
    sys.exit(run_under_watchdog(main))
