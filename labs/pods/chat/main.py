"""``python -m labs.pods chat``: the web page and API in front of the model server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

import aiohttp
from aiohttp import web

from labs.pods.chat.server import ChatApi
from labs.pods.chat.upstream import ModelServer
from labs.wire.env_proxy import env_proxy

DEFAULT_MODEL_URL = "http://model-server-gpu.ml.svc.cluster.local:8000"
STILL_ACCEPTING = 1.5
"""Seconds after SIGTERM in which new requests are still taken: until the last proxy knows that this endpoint is gone."""
DRAIN_SECONDS = 20.0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="chat", description="Web page and API in front of the model server.")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("--model-url", default=os.environ.get("MODEL_URL", DEFAULT_MODEL_URL), help="default: $MODEL_URL")
    p.add_argument("--model", default=os.environ.get("MODEL_NAME", "boring-runbook"), help="default: $MODEL_NAME")
    p.add_argument("--timeout", type=float, default=30.0, help="seconds a whole answer may take")
    return p


async def serve(args: argparse.Namespace) -> None:
    """Listen until SIGTERM or SIGINT, then let running answers end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    timeout = aiohttp.ClientTimeout(total=args.timeout)
    # HTTP_PROXY in a pod is the mesh's proxy. No limit on connections: queueing is the model server's business.
    proxy, connector = env_proxy(args.model_url), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, proxy=proxy, timeout=timeout) as http:
        app = ChatApi(ModelServer(http, args.model_url.rstrip("/"), args.model)).application()
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=DRAIN_SECONDS)
        await runner.setup()
        await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "0.0.0.0"), args.port).start()
        logging.info("answering on port %s; questions go to %s", args.port, args.model_url)
        await stop.wait()
        await asyncio.sleep(STILL_ACCEPTING)
        await runner.cleanup()


def main(argv: list[str]) -> int:
    """Entry point; the exit code is 0 after a drain, 1 if the address is taken, 2 for wrong flags."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    try:
        asyncio.run(serve(args))
    except OSError as error:
        print(f"cannot listen: {error}", file=sys.stderr)
        return 1
    return 0
