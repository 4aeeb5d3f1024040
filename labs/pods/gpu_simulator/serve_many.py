"""``gpu-simulator many``: metrics of thousands of GPUs, and on request their nodes as API objects, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from aiohttp import web

from labs.pods.gpu_simulator import inventory, serve
from labs.pods.gpu_simulator.many_nodes import ManyNodes
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.settings import Settings
from labs.pods.gpu_simulator.virtual_nodes import VirtualNodes
from labs.wire.kube_api import KubeApi
from labs.wire.kubeconfig import credentials


async def serve_many(args: argparse.Namespace) -> None:
    """Serve ``args.nodes`` × ``args.gpus`` GPUs on ``args.port``."""
    stop = serve.stop_signal()
    profile = profile_of(args.product)
    many = ManyNodes(args.prefix, args.nodes, args.gpus, profile, time.monotonic)
    labels = inventory.features(profile, args.gpus, Settings(), []) | {"nvidia.com/gpu.present": "true"}
    async with _objects(args, many.names, labels) as tasks, serve.running(many.app()) as runner:
        await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "127.0.0.1"), args.port).start()
        await serve.run_until(stop, [asyncio.create_task(many.run()), *tasks])


@asynccontextmanager
async def _objects(args: argparse.Namespace, names: list[str], labels: dict[str, str]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The nodes as API objects of ``args.context``, if one is named; the tasks keep them Ready."""
    if not args.context:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = yaml.safe_load(Path(args.kubeconfig).read_text())
        async with KubeApi(credentials(kubeconfig, Path(folder), args.context), user_agent="gpu-simulator") as api:
            nodes = VirtualNodes(api, names, labels, args.gpus)
            heartbeats = asyncio.create_task(nodes.run())
            try:
                await nodes.create()
                yield [heartbeats]
            finally:
                heartbeats.cancel()
                await nodes.remove()
