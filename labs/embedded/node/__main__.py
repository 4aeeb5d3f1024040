"""The node agent: ``python -m labs.embedded.node --cluster C --node N``. One process is one node: kill it, and the node fails."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from labs.embedded import pki
from labs.embedded.node import node_object
from labs.embedded.node.addresses import AddressPool
from labs.embedded.node.context import Services
from labs.embedded.node.devices import Devices, DeviceService
from labs.embedded.node.events import Events
from labs.embedded.node.images import ImageTable
from labs.embedded.node.manager import Manager
from labs.embedded.node.model import Node, find_node
from labs.embedded.node.node_status import NodeStatus
from labs.embedded.node.processes import Launcher
from labs.embedded.node.server import KubeletServer
from labs.embedded.node.sources import Sources
from labs.wire.kube_api import Credentials, KubeApi

STOP_GRACE = 1.5
"""Seconds pods get to end when the agent stops."""


def credentials(node: Node) -> Credentials:
    """This node's client certificate for its cluster's API server."""
    keys = pki.folder(node.cluster.name)
    server = node.cluster.server
    return Credentials(
        server, str(keys / "ca.crt"), cert_file=str(keys / f"{node.name}.crt"), key_file=str(keys / f"{node.name}.key")
    )


async def run(node: Node) -> None:
    """Be the node until told to stop (SIGTERM, SIGINT)."""
    node.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    launcher = Launcher()
    try:
        async with KubeApi(credentials(node), user_agent="boring-ops-lab-node-agent") as api:
            await _serve(node, api, launcher, stop)
    finally:
        launcher.close()


async def _serve(node: Node, api: KubeApi, launcher: Launcher, stop: asyncio.Event) -> None:
    devices = Devices(node.directory / "devices.json")
    events, sources = Events(api, node.name), Sources(api)
    addresses = AddressPool(node.pod_range, node.directory / "next-address")
    services = Services(
        node,
        api,
        launcher,
        ImageTable(),
        sources,
        events,
        devices,
        addresses,
        asyncio.Lock(),
        lambda: node_object.machine_resources()[1] | {name: str(count) for name, count in devices.allocatable().items()},
    )
    manager = Manager(services)
    keys = pki.folder(node.cluster.name)
    async with contextlib.AsyncExitStack() as stack:
        if node.spec.gpu:
            await stack.enter_async_context(
                DeviceService(
                    devices,
                    manager.pods,
                    plugins=node.host_path("/var/lib/kubelet/device-plugins"),
                    pod_resources=node.host_path("/var/lib/kubelet/pod-resources"),
                )
            )
        await stack.enter_async_context(
            KubeletServer(
                node,
                manager,
                devices,
                certificate=keys / f"{node.name}.crt",
                key=keys / f"{node.name}.key",
                client_ca=keys / "ca.crt",
            )
        )
        await _until_stopped(
            stop, launcher, events.run(), sources.follow_services(), NodeStatus(node, api, devices).run(), manager.run()
        )
        await manager.stop(STOP_GRACE)


async def _until_stopped(stop: asyncio.Event, launcher: Launcher, *parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until the agent is told to stop; a part that ends on its own is an error, as is losing the fork server."""
    tasks = [asyncio.create_task(part) for part in parts]
    stopped = asyncio.create_task(stop.wait())
    waited: list[asyncio.Future[Any]] = [*tasks, stopped, launcher.lost]
    done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    for task in [*tasks, stopped]:
        task.cancel()
    for future in done:
        future.result()


def main(argv: list[str]) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m labs.embedded.node", description="The agent of one node of the embedded backend."
    )
    parser.add_argument("--cluster", required=True, help="name of the cluster in clusters/topology.toml")
    parser.add_argument("--node", required=True, help="name of the node")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run(find_node(arguments.cluster, arguments.node)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
