"""The simulator's long-running part: GPUs, plugin, work socket and metrics port in one event loop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from labs.pods.gpu_simulator import inventory, settings, smi
from labs.pods.gpu_simulator.attribution import PodResources
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.offers import Offer, offers
from labs.pods.gpu_simulator.plugin import DevicePlugin, Registrar
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.server import WorkApi, metrics_app
from labs.pods.gpu_simulator.state import StateFile
from labs.wire.sockets import short

log = logging.getLogger(__name__)

METRICS_PORT = 9400
"""dcgm-exporter's default."""
TICK = 1.0
"""Seconds between two clock updates while no request comes."""


async def serve(args: argparse.Namespace) -> None:
    """Simulate the GPUs of ``args.node`` until SIGTERM or SIGINT.

    Raises:
        UnknownProduct: the node has GPUs without a profile.
        BadSettings, BadLayout: the settings file is invalid, in general or for these GPUs.
        OSError: the metrics port or the work socket is taken.
    """
    stop = stop_signal()
    node = args.node or os.uname().nodename
    found = await inventory.read(node, inventory.Inventory(args.product, args.count))
    chosen = settings.load(args.settings, found.settings)
    profile = profile_of(found.product)
    fleet = Fleet.of(node, profile, found.count, time.monotonic, chosen.layout(found.count))
    offered = offers(fleet, chosen)
    log.info("simulating %d x %s on node %s: %s", found.count, found.product, node, ", ".join(o.resource for o in offered))
    args.state.mkdir(parents=True, exist_ok=True)
    StateFile(fleet, args.state / "state.json").restore()
    smi.install(args.state)
    registrars = _registrars(fleet, chosen, offered, args.device_plugins)
    holders = PodResources(args.pod_resources / "kubelet.sock")
    shared = os.environ.get("KUBERNETES_VIRTUAL_GPUS", "false").lower() == "true"
    async with (
        _work_socket(WorkApi(fleet).app(), Path(args.socket)),
        _metrics_port(metrics_app(fleet, holders, lambda: all(one.registered for one in registrars), shared)),
    ):
        await inventory.label(node, inventory.features(profile, found.count, chosen, offered))
        tasks = [asyncio.create_task(_tick(fleet)), *(asyncio.create_task(one.run()) for one in registrars)]
        await run_until(stop, tasks)
    await holders.close()


def _registrars(fleet: Fleet, chosen: settings.Settings, offered: list[Offer], folder: Path) -> list[Registrar]:
    ignored = settings.ignored_xids(os.environ.get("DP_DISABLE_HEALTHCHECKS", ""))
    plugins = [DevicePlugin(fleet, offer, ignored, chosen.one_each) for offer in offered]
    return [Registrar(plugin, folder) for plugin in plugins]


def stop_signal() -> asyncio.Event:
    """Set when SIGTERM or SIGINT comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Let the tasks run until ``stop`` is set; a task that breaks ends the program with its error."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    stopped.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _tick(fleet: Fleet) -> None:
    while True:
        fleet.advance()
        await asyncio.sleep(TICK)


@asynccontextmanager
async def _work_socket(app: web.Application, path: Path) -> AsyncIterator[None]:
    path = short(path)
    path.unlink(missing_ok=True)
    async with running(app) as runner:
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o666)  # a model server need not run as root
        yield


@asynccontextmanager
async def _metrics_port(app: web.Application) -> AsyncIterator[None]:
    async with running(app) as runner:
        await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "0.0.0.0"), METRICS_PORT).start()
        yield


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
