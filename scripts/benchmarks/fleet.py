"""Figures of a large fleet: 1,000 nodes with 8 GPUs each as objects of the gpu cluster, their metrics in one process.

Nothing runs on these nodes; what it costs is the simulator, the API server, etcd and the controllers that watch nodes.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from labs import errors, kube
from labs.embedded import control
from labs.paths import Paths
from scripts.benchmarks import gpus
from scripts.benchmarks.gpus import ADDRESS, FLEET_PORT, GPUS, NODES

CLUSTER = "gpu"
CONTROL_PLANE = ("etcd", *(f"{CLUSTER}/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")))
"""As the supervisor calls them. The one etcd has the objects of both clusters."""
STEADY = 30.0
"""Seconds of the look at the fleet once all is made: longer than a node may be silent."""
READY_TIMEOUT = 300.0
POLL = 1.0
NODE_PATH = "/api/v1/nodes?labelSelector=boring-ops-lab/virtual-node"
LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def measure() -> dict[str, float]:
    """Make the fleet, look at it for a while, scrape it, take it away.

    Raises:
        TimedOut: not all nodes were Ready, or free to be scheduled on, in ``READY_TIMEOUT``.
        LabError: a node did not stay Ready, or an object was left.
    """
    api, programs = kube.connect(CLUSTER), _control_plane()
    idle = _cores(programs, STEADY / 2)
    words = (f"--nodes={NODES}", f"--gpus={GPUS}", f"--port={FLEET_PORT}")
    started = time.monotonic()
    with gpus.program("many", *words, f"--context={CLUSTER}", f"--kubeconfig={Paths.current().kubeconfig}") as process:
        found = {
            "fleet_nodes_ready_seconds": _seconds_until(lambda: _count(api, _ready), process, started),
            "fleet_nodes_free_seconds": _seconds_until(lambda: _count(api, _free), process, started),
        }
        simulator = psutil.Process(process.pid)
        cores = _cores([simulator, *programs], STEADY)
        if (still := _count(api, _ready)) < NODES:
            raise errors.LabError(f"{NODES - still} of {NODES} nodes were not Ready after {STEADY:g} s", fix="lab logs")
        scrapes = asyncio.run(gpus.seconds_of_scrapes(f"http://{ADDRESS}:{FLEET_PORT}/metrics"))
        memory = {program.pid: program.memory_info().rss / 1e9 for program in programs}
        peak = gpus.peak_bytes(process.pid) / 1e9
        stopped = time.monotonic()
    found["fleet_nodes_gone_seconds"] = time.monotonic() - stopped
    _refuse_debris(api)
    return found | {
        "fleet_nodes_scrape_seconds": statistics.median(scrapes),
        "fleet_nodes_simulator_cores": cores[0],
        "fleet_nodes_control_plane_cores": sum(cores[1:]),
        "fleet_nodes_control_plane_cores_before": sum(idle),
        "fleet_nodes_simulator_gigabytes": peak,
        "fleet_nodes_etcd_gigabytes": memory[programs[0].pid],
        "fleet_nodes_api_server_gigabytes": memory[programs[1].pid],
        "fleet_nodes_gigabytes": peak + sum(memory.values()),
    }


def _control_plane() -> list[psutil.Process]:
    pids = {row["name"]: row["pid"] for row in control.status()["children"]}
    return [psutil.Process(pids[name]) for name in CONTROL_PLANE]


def _cores(programs: Iterable[psutil.Process], seconds: float) -> list[float]:
    """Processors each program used on average over ``seconds``."""
    programs = list(programs)

    def used() -> list[float]:
        return [sum(program.cpu_times()[:2]) for program in programs]

    before = used()
    time.sleep(seconds)
    return [(after - earlier) / seconds for earlier, after in zip(before, used(), strict=True)]


def _seconds_until(count: Callable[[], int], process: subprocess.Popen[bytes], started: float) -> float:
    """Seconds from ``started`` until ``count`` says that it is so of all nodes."""
    while (found := count()) < NODES:
        if process.poll() is not None:
            raise errors.LabError(f"the simulator ended with exit code {process.returncode}", fix="scripts/bench fleet")
        if time.monotonic() - started > READY_TIMEOUT:
            raise errors.TimedOut(f"so far it is so of {found} of {NODES} nodes", fix="the machine is too slow, or busy")
        time.sleep(POLL)
    return time.monotonic() - started


def _count(api: kube.ApiClient, true: Callable[[Any], bool]) -> int:
    return sum(true(node) for node in kube.call(api, "GET", NODE_PATH)["items"])


def _ready(node: Any) -> bool:
    return kube.ready(node) is None


def _free(node: Any) -> bool:
    """Kubernetes' own taints, which every new node begins with, are gone: pods that ask for such nodes may come."""
    return not any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))


def _refuse_debris(api: kube.ApiClient) -> None:
    nodes = kube.call(api, "GET", NODE_PATH)["items"]
    leases = [row for row in kube.call(api, "GET", LEASE_PATH)["items"] if row["metadata"]["name"].startswith("fleet-")]
    if nodes or leases:
        raise errors.LabError(f"the fleet left {len(nodes)} nodes and {len(leases)} leases", fix="lab down")
