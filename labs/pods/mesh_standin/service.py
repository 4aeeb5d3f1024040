"""What the control plane's HTTP servers share: where they listen, their probes, and ending on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Callable

from aiohttp import web


def rooted(path: str) -> str:
    """``path`` in the container: on the embedded backend a folder takes the place of the container's ``/``."""
    return os.environ.get("CONTAINER_ROOT", "") + path


def anchors_path() -> str:
    """The file with the mesh's trust anchors (PEM): the mounted ConfigMap ``linkerd-identity-trust-roots``."""
    return os.environ.get("TRUST_ANCHORS") or rooted("/var/run/linkerd/identity/trust-roots/ca-bundle.crt")


def application(is_ready: Callable[[], bool] = lambda: True) -> web.Application:
    """An application with ``/live`` and ``/ready``."""

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(status=503, text="not ready\n")

    found = web.Application()
    found.router.add_get("/live", live)
    found.router.add_get("/ready", ready)
    return found


async def run(app: web.Application, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Serve on ``BIND_ADDRESS`` until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Streams to proxies never end on their own: do not wait for them.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "0.0.0.0"), port, ssl_context=tls).start()
        await ended.wait()
    finally:
        await runner.cleanup()
