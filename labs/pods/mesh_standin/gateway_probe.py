"""Whether a linked cluster's gateway is alive: probed every few seconds, dead after several failures in a row."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labs.pods.mesh_standin.mirror_objects import Gateway
from labs.wire.addresses import to_loopback
from labs.wire.kube_api import Object

log = logging.getLogger(__name__)
LATENCY_BUCKETS = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 5000, 10000, 30000)


@dataclass(frozen=True)
class ProbeSpec:
    """How a Link wants its gateway probed; times in seconds."""

    urls: tuple[str, ...]
    period: float
    timeout: float
    threshold: int

    @classmethod
    def of(cls, link: Object) -> ProbeSpec:
        spec = link["spec"].get("probeSpec") or {}
        urls = tuple(
            f"http://{reachable(ip)}:{spec.get('port', '4191')}{spec.get('path', '/ready')}" for ip in Gateway.of(link).addresses
        )
        return cls(
            urls, seconds(spec.get("period", "3s")), seconds(spec.get("timeout", "30s")), int(spec.get("failureThreshold", 3))
        )


def reachable(address: str) -> str:
    """The address to connect to: on the embedded backend the loopback address that stands for it."""
    return to_loopback(address) if "BIND_ADDRESS" in os.environ else address


def seconds(duration: str) -> float:
    """A Go duration of one unit in seconds; a bare number counts as seconds.

    >>> seconds("3s"), seconds("500ms"), seconds("1m")
    (3.0, 0.5, 60.0)
    """
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if duration.endswith(unit):
            return float(duration.removesuffix(unit)) * factor
    return float(duration)


class ProbeMetrics:
    """The names ``linkerd multicluster gateways`` reads, labelled by ``target_cluster_name``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ["target_cluster_name"]
        self.alive = Gauge("gateway_alive", "1 while the gateway answers, else 0", label, registry=registry)
        self.latency = Gauge("gateway_latency", "Latency of the last successful probe, in ms", label, registry=registry)
        self.latencies = Histogram(
            "gateway_probe_latency_ms", "Latency of successful probes, in ms", label, buckets=LATENCY_BUCKETS, registry=registry
        )
        self.probes = Counter("gateway_probes", "Probes made", [*label, "probe_successful"], registry=registry)


class GatewayProbe:
    """Probes one gateway until cancelled. It counts as alive until proven dead, as Linkerd's does."""

    def __init__(self, cluster: str, spec: ProbeSpec, metrics: ProbeMetrics, on_change: Callable[[], None]) -> None:
        self.alive = True
        self._cluster = cluster
        self._spec = spec
        self._metrics = metrics
        self._on_change = on_change
        self._failures = 0

    async def run(self) -> None:
        # Its own timeout, not the mesh's proxy: the probe asks the gateway itself.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._spec.timeout)) as http:
            while True:
                started = time.monotonic()
                problem = await self._ask(http)
                self.record((time.monotonic() - started) * 1000, problem)
                await asyncio.sleep(self._spec.period)

    async def _ask(self, http: aiohttp.ClientSession) -> str | None:
        """None when any address answers 200, else what went wrong last."""
        problem = "the link has no gateway address"
        for url in self._spec.urls:
            try:
                async with http.get(url) as response:
                    if response.status == 200:
                        return None
                    problem = f"gateway returned unexpected status {response.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"problem connecting with gateway: {error or 'no answer in time'}"
        return problem

    def record(self, latency_ms: float, problem: str | None) -> None:
        """Count one probe; report when the gateway dies or comes back."""
        self._metrics.probes.labels(self._cluster, str(problem is None).lower()).inc()
        if problem is None:
            self._failures = 0
            self._metrics.latency.labels(self._cluster).set(latency_ms)
            self._metrics.latencies.labels(self._cluster).observe(latency_ms)
        else:
            self._failures += 1
            log.warning("%s probe-key=%s", problem, self._cluster)
        dead = self._failures >= self._spec.threshold
        was, self.alive = self.alive, not dead and (problem is None or self.alive)
        self._metrics.alive.labels(self._cluster).set(self.alive)
        if was != self.alive:
            state = (
                "Gateway is healthy"
                if self.alive
                else f"Failure threshold ({self._spec.threshold}) reached - Marking as unhealthy"
            )
            log.warning("%s probe-key=%s", state, self._cluster)
            self._on_change()
