"""The cost of the mesh: the latency of one small request on four paths, and the CPU and memory that the proxies use.

The programs are in ``clusters/manifests/mesh-cost`` (notebook 13). The paths take turns, so that a busy minute on this machine
affects all of them. For the cost of a real Linkerd, see `LINKERD`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labs.clusters.base import Cluster
from labs.errors import NotFound
from labs.telemetry.charts import Chart, bars, intervals
from labs.telemetry.prometheus import Prometheus
from labs.topology import Role, primary

NAMESPACE, PLAIN, PORT = "cost", "cost-plain", 8080
DIRECT, MESHED, GATEWAY, FLAT = "direct", "meshed", "through the gateway", "flat"
WAYS = (DIRECT, MESHED, GATEWAY, FLAT)
URLS = {MESHED: "echo", GATEWAY: "echo-gpu", FLAT: "echo-flat-gpu"}
"""The Service behind each path through the mesh."""
PROXIES: dict[str, tuple[Role, str, str, tuple[str, ...]]] = {
    "caller's": ("users", NAMESPACE, "asker", (MESHED, GATEWAY, FLAT)),
    "server's": ("users", NAMESPACE, "echo", (MESHED,)),
    "server's, other cluster": ("gpus", NAMESPACE, "echo", (GATEWAY, FLAT)),
    "gateway's": ("gpus", "linkerd-multicluster", "linkerd-gateway", (GATEWAY,)),
}
"""The role of each proxy's cluster, its namespace and Deployment, and the paths that pass through it."""
SCRAPED = 2.0
"""Seconds until Prometheus has scraped the latest counts."""
LINKERD = {MESHED: 1.4, GATEWAY: 2.0}
"""Milliseconds that a real Linkerd added to the median at 100 requests per second; orders of magnitude only (edge-26.8.3 on two
kind clusters of a busy machine with two cores, 2026-11-24, 3,000 requests each)."""
RESAMPLES = 1000
CONFIDENCE = 0.95
MIB = 2**20

Latencies = npt.NDArray[np.float64]
Rounds = Sequence[Latencies]
"""Latencies of one path in milliseconds, an array per round."""


@dataclass
class MeshCost:
    """The result of `measure`. ``proxies``: a row per proxy with CPU per request and memory."""

    rounds: dict[str, list[Latencies]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    proxies: pd.DataFrame = field(default_factory=pd.DataFrame)

    def table(self) -> pd.DataFrame:
        """A row per path: percentiles in ms, and how far they are above those of the direct path (with a 95 % interval)."""
        rows = {}
        for way, rounds in self.rounds.items():
            whole = np.concatenate(rounds)
            row: dict[str, float] = {"requests": len(whole), "failed": self.failed.get(way, 0)}
            for percent in (50, 99):
                row[f"p{percent} ms"] = float(np.quantile(whole, percent / 100))
                if way != DIRECT:
                    value, low, high = above(self.rounds[DIRECT], rounds, percent / 100)
                    row |= {f"p{percent} added": value, f"p{percent} from": low, f"p{percent} to": high}
            rows[way] = row
        return pd.DataFrame.from_dict(rows, orient="index").round(2)

    def added(self, percent: float = 50) -> pd.DataFrame:
        """Milliseconds that each path adds to that percentile: ``value``, ``low``, ``high`` (95 % interval)."""
        ways = [way for way in self.rounds if way != DIRECT]
        found = [above(self.rounds[DIRECT], self.rounds[way], percent / 100) for way in ways]
        return pd.DataFrame(found, index=pd.Index(ways, name="way"), columns=["value", "low", "high"])

    def plot(self, *, title: str = "What each path adds to the median", reading: str = "") -> Chart:
        """How far each path's median is above the direct one; the default ``reading`` lists the numbers."""
        found = self.added()
        said = ", ".join(f"{way} {row['value']:.1f} ms" for way, row in found.iterrows())
        return intervals(
            found, title=title, unit="ms above the direct path", reading=reading or f"Half of the calls wait longer: {said}."
        )


def above(direct: Rounds, other: Rounds, share: float) -> tuple[float, float, float]:
    """By how much the quantile of ``other`` exceeds that of ``direct``, and the ends of its 95 % bootstrap interval.

    It draws rounds first, the same for both, then requests within them, because requests of one round share conditions.
    """
    draw = np.random.default_rng(1)
    value = float(np.quantile(np.concatenate(other), share) - np.quantile(np.concatenate(direct), share))
    chosen = draw.integers(0, len(direct), (RESAMPLES, len(direct)))
    differences = _redrawn(other, chosen, share, draw) - _redrawn(direct, chosen, share, draw)
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return value, float(low), float(high)


def _redrawn(rounds: Rounds, chosen: npt.NDArray[np.int64], share: float, draw: np.random.Generator) -> Latencies:
    """The quantile of each resample; ``chosen`` has a row per resample with the indices of its rounds."""
    lengths = np.array([len(latencies) for latencies in rounds])
    padded = np.array([np.pad(latencies, (0, lengths.max() - len(latencies))) for latencies in rounds])
    which = (draw.random((*chosen.shape, lengths.max())) * lengths[chosen][..., None]).astype(np.int64)
    sampled = padded[chosen[..., None], which].reshape(len(chosen), -1)
    quantiles: Latencies = np.quantile(sampled, share, axis=1)
    return quantiles


def measure(
    clusters: Mapping[str, Cluster],
    prometheus: Mapping[str, Prometheus],
    *,
    rps: float = 100,
    seconds: float = 2,
    rounds: int = 4,
) -> MeshCost:
    """Send ``rps`` requests per second for ``seconds`` on each path in turn, for this many rounds.

    Raises:
        NotFound, TimedOut: a program of notebook 13 does not exist, or Prometheus has no data about it.
        CommandFailed: a path leads nowhere; the message is kubectl's.
    """
    found = MeshCost(rounds={way: [] for way in WAYS}, failed=dict.fromkeys(WAYS, 0))
    askers = _Askers(clusters)
    before = _usage(prometheus)
    for _ in range(rounds):
        for way in WAYS:
            seen = askers.ask(way, f"--rps={rps}", f"--seconds={seconds}")
            found.rounds[way].append(np.array(seen["microseconds"], dtype=np.float64) / 1000)
            found.failed[way] += sum(seen["failed"].values())
    sent = {way: sum(map(len, found.rounds[way])) for way in WAYS}
    time.sleep(SCRAPED)
    found.proxies = _per_request(before, _usage(prometheus), sent)
    return found


def saturate(clusters: Mapping[str, Cluster], *, connections: int = 16, seconds: float = 3) -> pd.Series[float]:
    """Answers per second on each path when each of ``connections`` sends its next request immediately."""
    askers = _Askers(clusters)
    found = {}
    for way in WAYS:
        seen = askers.ask(way, f"--connections={connections}", f"--seconds={seconds}")
        found[way] = len(seen["microseconds"]) / seen["seconds"]
    return pd.Series(found, name="answers per second").round(0)


def rates(found: pd.Series[float]) -> Chart:
    """Answers per second as bars."""
    least = found.drop(DIRECT)
    reading = f"Of {found[DIRECT]:.0f} direct answers a second, {least.min():.0f} to {least.max():.0f} are left through the mesh."
    return bars(found, title="Answers per second when callers never pause", unit="answers per second", reading=reading)


class _Askers:
    """The two pods that send the requests: one with a proxy and one without."""

    def __init__(self, clusters: Mapping[str, Cluster]) -> None:
        self._app = clusters[primary("users").name]
        self._direct = f"http://{_address(self._app)}:{PORT}/"

    def ask(self, way: str, *flags: str) -> dict[str, Any]:
        straight = way == DIRECT
        url = self._direct if straight else f"http://{URLS[way]}.{NAMESPACE}.svc.cluster.local:{PORT}/"
        words = ("roundtrip", "ask", url, *flags, *(["--straight"] if straight else []))
        return dict(json.loads(self._app.run_program(f"{PLAIN if straight else NAMESPACE}/asker", *words)))


def _address(cluster: Cluster) -> str:
    """The address of the pod that answers without a proxy."""
    pods = cluster.pods(PLAIN, "app=echo")
    running = pods[pods["status"] == "Running"]
    if running.empty:
        raise NotFound("pod", f"app=echo in {PLAIN}", fix="run the first steps of notebook 13")
    return str(running["ip"].iloc[0])


@dataclass(frozen=True)
class _Proxy:
    cpu_seconds: float
    bytes: float


def _usage(prometheus: Mapping[str, Prometheus]) -> dict[str, _Proxy]:
    """What the proxies in `PROXIES` report: the CPU time of all pods of a workload together, and the memory of the largest.

    Raises:
        TimedOut: Prometheus has no data about one of them.
    """
    found = {}
    for name, (role, namespace, workload, _) in PROXIES.items():
        server = prometheus[primary(role).name]
        chosen = f'{{namespace="{namespace}", deployment="{workload}"}}'
        cpu = server.wait_until(f"sum(process_cpu_seconds_total{chosen})", timeout=30)
        memory = server.wait_until(f"max(process_resident_memory_bytes{chosen})", timeout=30)
        found[name] = _Proxy(float(cpu.iloc[0]), float(memory.iloc[0]))
    return found


def _per_request(before: Mapping[str, _Proxy], after: Mapping[str, _Proxy], sent: Mapping[str, int]) -> pd.DataFrame:
    """A row per proxy: CPU per request on its paths, including probes and scrapes during that time, and its memory."""

    def rows() -> Iterator[dict[str, float]]:
        for name, (_, _, _, ways) in PROXIES.items():
            requests = sum(sent[way] for way in ways)
            used = after[name].cpu_seconds - before[name].cpu_seconds
            yield {
                "requests": float(requests),
                "CPU ms per request": 1000 * used / max(requests, 1),
                "memory MiB": after[name].bytes / MIB,
            }

    return pd.DataFrame(list(rows()), index=pd.Index(list(PROXIES), name="proxy")).round(2)
