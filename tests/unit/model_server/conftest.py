"""Real model servers on the loopback, in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from labs.pods.model_server import main
from labs.pods.model_server.server import Server


@dataclass
class Running:
    """A server that listens; ``url`` is the API, ``metrics`` the other port."""

    server: Server
    http: aiohttp.ClientSession
    url: str
    metrics: str

    async def post(self, path: str, **body: object) -> aiohttp.ClientResponse:
        return await self.http.post(self.url + path, json=body)

    async def ask(self, **body: object) -> aiohttp.ClientResponse:
        """A question to the chat."""
        return await self.post("/v1/chat/completions", **{"messages": [{"role": "user", "content": "XID 79?"}], **body})

    async def ready(self) -> None:
        async with asyncio.timeout(30):
            while (await self.http.get(self.url + "/health")).status != 200:
                await asyncio.sleep(0.02)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """``await start("--flag", …)`` runs a server on free ports; unpaced and loaded at once unless flags say otherwise."""
    runners: list[web.AppRunner] = []
    tasks: list[asyncio.Task[None]] = []
    http = aiohttp.ClientSession()
    servers: list[Server] = []

    async def listen(app: web.Application) -> str:
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def run(*flags: str, wait: bool = True) -> Running:
        args = main.parser().parse_args(["--load-seconds=0", "--tokens-per-second=0", *flags])
        server = main.build(args)
        servers.append(server)
        tasks.append(asyncio.create_task(server.lifecycle.run()))
        running = Running(server, http, await listen(server.application()), await listen(server.metrics_application()))
        if wait:
            await running.ready()
        return running

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for runner in runners:
        await runner.cleanup()
    for server in servers:
        await server.lifecycle.gpu.close()
    await http.close()
