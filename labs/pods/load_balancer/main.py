"""``load-balancer``: gives Services of type LoadBalancer the address of a node, where no cloud does (kind)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from labs.pods.load_balancer.addresses import Object, assign, current, node_address
from labs.wire.kube_api import ApiError, KubeApi, in_cluster

log = logging.getLogger("load-balancer")


class LoadBalancer:
    """Follows nodes and Services and writes the Services' status."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._nodes: dict[str, Object] = {}
        self._services: dict[str, Object] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._api.follow("nodes", self._on_node))
            tasks.create_task(self._api.follow("services", self._on_service))
            tasks.create_task(self._write())

    def _on_node(self, kind: str, node: Object) -> None:
        self._note(self._nodes, kind, node)

    def _on_service(self, kind: str, service: Object) -> None:
        self._note(self._services, kind, service)

    def _note(self, known: dict[str, Object], kind: str, item: Object) -> None:
        if kind == "DELETED":
            known.pop(item["metadata"]["uid"], None)
        else:
            known[item["metadata"]["uid"]] = item
        self._changed.set()

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            nodes = sorted(self._nodes.values(), key=lambda node: node["metadata"]["name"])
            addresses = [address for node in nodes if (address := node_address(node))]
            if not addresses:
                continue
            for uid, address in assign(self._services.values(), addresses).items():
                await self._set(self._services[uid], address)

    async def _set(self, service: Object, address: str | None) -> None:
        if address == current(service):
            return
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        body = {"status": {"loadBalancer": {"ingress": [{"ip": address}] if address else None}}}
        try:
            await self._api.patch("services", namespace, name, body, sub="status")
        except ApiError as error:
            # Gone or changed meanwhile: the watch reports it, and it is checked again.
            log.warning("%s/%s: %s", namespace, name, error)
        else:
            log.info("%s/%s: %s", namespace, name, address or "no address is free for its ports")


def main(argv: list[str]) -> int:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve())
    return 0


async def _serve() -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with KubeApi(in_cluster(), user_agent="load-balancer") as api:
        await LoadBalancer(api).run()
