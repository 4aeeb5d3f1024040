"""``/metrics/resource`` and ``/stats/summary``: what the containers of this node use.

A container's processes are those of the session its first process leads. CPU is counted in seconds since their start; memory is
what they do not share with other processes (resident minus shared pages): shared libraries would count once per process.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from labs.embedded.node.model import ContainerRecord, Node, Object, PodRecord
from labs.embedded.node.server.context import NODE, PODS


@dataclass(frozen=True)
class Usage:
    cpu_seconds: float = 0.0
    memory_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu_seconds + other.cpu_seconds, self.memory_bytes + other.memory_bytes)


Sample = list[tuple[PodRecord, list[tuple[ContainerRecord, Usage]]]]
"""The running containers of each pod with what they use."""


def sample(pods: list[PodRecord]) -> Sample:
    sessions = _sessions()
    rows = []
    for pod in pods:
        running = [container for container in pod.containers.values() if container.running and container.pid]
        rows.append((pod, [(container, _usage(sessions.get(container.pid or 0, []))) for container in running]))
    return rows


def _sessions() -> dict[int, list[int]]:
    """Process ids by session."""
    found: dict[int, list[int]] = {}
    for pid in psutil.pids():
        try:
            found.setdefault(os.getsid(pid), []).append(pid)
        except OSError:
            continue  # It has ended.
    return found


def _usage(pids: list[int]) -> Usage:
    total = Usage()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            memory = process.memory_info()
            # Including children that have ended and were waited for.
            total += Usage(sum(process.cpu_times()[:4]), memory.rss - memory.shared)
        except psutil.NoSuchProcess:
            continue
    return total


def _sum(rows: list[tuple[ContainerRecord, Usage]]) -> Usage:
    return sum((usage for _, usage in rows), Usage())


async def summary(request: web.Request) -> web.Response:
    rows = sample(request.app[PODS].pods())
    total = sum((_sum(containers) for _, containers in rows), Usage())
    node = {"nodeName": request.app[NODE].name} | _stats(total)
    return web.json_response({"node": node, "pods": [_pod_stats(pod, containers) for pod, containers in rows]})


def _pod_stats(pod: PodRecord, rows: list[tuple[ContainerRecord, Usage]]) -> Object:
    containers = [
        {"name": container.name, "startTime": container.state["running"]["startedAt"]} | _stats(usage)
        for container, usage in rows
    ]
    reference = {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}
    return {"podRef": reference, "startTime": pod.status.get("startTime"), "containers": containers} | _stats(_sum(rows))


def _stats(usage: Usage) -> Object:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "cpu": {"time": now, "usageCoreNanoSeconds": round(usage.cpu_seconds * 1e9)},
        "memory": {"time": now, "workingSetBytes": usage.memory_bytes},
    }


async def resource_metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry()
    registry.register(ResourceMetrics(request.app[NODE], sample(request.app[PODS].pods())))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class ResourceMetrics:
    """One sample under the names the kubelet uses: what metrics-server reads."""

    def __init__(self, node: Node, rows: Sample) -> None:
        self._node = node
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        yield from self._family("container", ["container", "pod", "namespace"], self._containers())
        pods = [((pod.name, pod.namespace), _sum(containers)) for pod, containers in self._rows]
        yield from self._family("pod", ["pod", "namespace"], pods)
        yield from self._family("node", [], [((), sum((_sum(containers) for _, containers in self._rows), Usage()))])
        yield GaugeMetricFamily("scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", value=0)

    def _containers(self) -> list[tuple[tuple[str, ...], Usage]]:
        return [((row.name, pod.name, pod.namespace), usage) for pod, rows in self._rows for row, usage in rows]

    def _family(self, kind: str, labels: list[str], rows: Sequence[tuple[tuple[str, ...], Usage]]) -> Iterator[Metric]:
        cpu = CounterMetricFamily(f"{kind}_cpu_usage_seconds", f"CPU seconds used by the {kind}", labels=labels)
        memory = GaugeMetricFamily(f"{kind}_memory_working_set_bytes", f"Bytes of memory used by the {kind}", labels=labels)
        for values, usage in rows:
            cpu.add_metric(values, usage.cpu_seconds)
            memory.add_metric(values, usage.memory_bytes)
        yield cpu
        yield memory
