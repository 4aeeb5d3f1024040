"""PromQL queries to the lab's Prometheus; a real Linkerd's viz extension sends them to its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from labs.embedded import plan
from labs.errors import LabError
from labs.mesh.linkerd_cli.cluster import find
from labs.wire.kube_api import KubeApi

NAMESPACE, SERVICE = "monitoring", "prometheus"
Labels = dict[str, str]
Group = tuple[str, ...]
"""The values of the labels that a query groups by, in the same order."""


@dataclass(frozen=True)
class Prometheus:
    """One cluster's Prometheus, at the address where its Service is published on this machine."""

    url: str

    @classmethod
    async def of(cls, api: KubeApi) -> Prometheus:
        """The Prometheus of the cluster; raises LabError if it has none."""
        service = await find(api, "services", NAMESPACE, SERVICE)
        if service is None:
            raise LabError(
                f"no Service {SERVICE} in the namespace {NAMESPACE}", fix="kubectl apply -k clusters/manifests/prometheus"
            )
        host, port = plan.network().published(service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"])
        return cls(f"http://{host}:{port}")

    async def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector of a query: rows with ``metric`` (labels) and ``value`` (time, text).

        Raises:
            LabError: Prometheus does not answer, or rejects the query.
        """
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
                http.post(f"{self.url}/api/v1/query", data={"query": promql}) as response,
            ):
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise LabError(
                f"Prometheus at {self.url} does not answer: {error or 'no answer in time'}", fix="lab status"
            ) from None
        if answer.get("status") != "success":
            raise LabError(f"Prometheus refused {promql!r}: {answer.get('error')}")
        rows: list[dict[str, Any]] = answer["data"]["result"]
        return rows

    async def grouped(self, promql: str, by: Sequence[str]) -> dict[Group, float]:
        """A query's values by the labels ``by``, without NaN (a quantile of nothing)."""
        rows = [(tuple(row["metric"].get(label, "") for label in by), float(row["value"][1])) for row in await self.query(promql)]
        return {group: value for group, value in rows if not math.isnan(value)}


def selector(labels: Labels) -> str:
    """PromQL's braces; an empty value means "has this label" and is written as ``!=""``."""

    def term(name: str, value: str) -> str:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{quoted}"' if value else f'{name}!=""'

    return "{" + ",".join(term(name, value) for name, value in labels.items()) + "}"


@dataclass(frozen=True)
class Traffic:
    """Traffic during the window; rates per second, latencies in ms; None if there was none."""

    success: float | None
    rps: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    connections: float | None = None
    read_rate: float | None = None
    write_rate: float | None = None


async def traffic(prometheus: Prometheus, labels: Labels, by: Sequence[str], window: float) -> dict[Group, Traffic]:
    """HTTP and TCP statistics of the series with ``labels``, by group, over ``window`` seconds."""
    chosen, over, groups = selector(labels), f"[{window:g}s]", ",".join(by)
    by_class = await prometheus.grouped(
        f"sum by ({groups},classification) (increase(response_total{chosen}{over}))", [*by, "classification"]
    )
    latency = [
        await prometheus.grouped(
            f"histogram_quantile({q}, sum by (le,{groups}) (rate(response_latency_ms_bucket{chosen}{over})))", by
        )
        for q in (0.5, 0.95, 0.99)
    ]
    tcp = [
        await prometheus.grouped(f"sum by ({groups}) ({expression})", by)
        for expression in (
            f"tcp_open_connections{chosen}",
            f"rate(tcp_read_bytes_total{chosen}{over})",
            f"rate(tcp_write_bytes_total{chosen}{over})",
        )
    ]
    found = {group[:-1] for group in by_class} | {group for rows in tcp for group in rows}
    return {group: _one(group, by_class, latency, tcp, window) for group in found}


def _one(
    group: Group, by_class: dict[Group, float], latency: list[dict[Group, float]], tcp: list[dict[Group, float]], window: float
) -> Traffic:
    good, bad = by_class.get((*group, "success"), 0.0), by_class.get((*group, "failure"), 0.0)
    total = good + bad
    quantiles = [rows.get(group) if total else None for rows in latency]
    return Traffic(
        good / total if total else None, total / window if total else None, *quantiles, *(rows.get(group) for rows in tcp)
    )
