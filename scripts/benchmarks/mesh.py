"""Figures of the mesh: what it adds to a call, what its proxies need, and how fast it follows what the cluster says.

Needs the clusters as notebook 05 leaves them, and the programs of notebook 13.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil

from labs import errors, kube, shell
from labs.clusters.base import Cluster
from labs.paths import Paths
from labs.telemetry.mesh_cost import NAMESPACE, PORT, WAYS

if TYPE_CHECKING:
    from labs.lab import Lab

ROUNDS, SECONDS = 8, 4.0
CHANGES, BETWEEN = 10, 1.5
"""Changes of policy, every other one to deny, and the seconds from one to the next."""
PODS = 5
"""New pods that are timed, one after the other."""
CHECKS = 3
ROLL_CALLERS, ROLL_SECONDS, ROLLED_PODS = 2, 30, 3
READY_TIMEOUT = 60.0
PRECISION = 0.02
MIB = 2**20
ECHO = ("Deployment", "echo", NAMESPACE)
POLICY = "policy.linkerd.io/v1beta3"
URL = f"http://echo.{NAMESPACE}.svc.cluster.local:{PORT}/"


def measure(lab: Lab) -> dict[str, float]:
    """All figures, by name; times in the unit the name ends with.

    Raises:
        LabError: a program does not answer, or a change does not take hold.
    """
    app = lab.app
    found = _calls(lab) | _memory()
    found["mesh_policy_change_seconds"] = statistics.median(_policy_changes(app))
    found["mesh_new_pod_ready_seconds"] = statistics.median(_new_pod(app, f"new-{number}") for number in range(PODS))
    found["mesh_linkerd_check_seconds"] = min(_linkerd_check() for _ in range(CHECKS))
    return found | _rollout(app)


def _calls(lab: Lab) -> dict[str, float]:
    """Latency, throughput and processor time of calls on each way."""
    cost = lab.mesh_cost(rounds=ROUNDS, seconds=SECONDS)
    found: dict[str, float] = {}
    for percent in (50, 99):
        for way, row in cost.added(percent).iterrows():
            name = f"mesh_{_word(str(way))}_added_p{percent}"
            found |= {f"{name}_ms": row["value"], f"{name}_from_ms": row["low"], f"{name}_to_ms": row["high"]}
    found["mesh_calls_failed"] = sum(cost.failed.values())
    for proxy, row in cost.proxies.iterrows():
        found[f"mesh_{_word(str(proxy))}_proxy_cpu_ms_per_request"] = row["CPU ms per request"]
    rates = lab.mesh_rates()
    return found | {f"mesh_{_word(way)}_rps": rates[way] for way in WAYS}


def _word(name: str) -> str:
    """The name of a way or of a proxy as a part of a figure's name."""
    return name.replace("'s", "").replace(",", "").replace("through the ", "").replace(" ", "_")


def _memory() -> dict[str, float]:
    """Own memory of the proxies that are processes of this machine: pages no other process shares."""
    sizes = [sum(process.memory_full_info().uss for process in family) / MIB for family in _proxies()]
    if not sizes:
        return {}
    mean, most = statistics.mean(sizes), max(sizes)
    return {"mesh_proxies": len(sizes), "mesh_proxy_own_mean_mib": mean, "mesh_proxy_own_max_mib": most}


def _proxies() -> Iterator[list[psutil.Process]]:
    """Each launcher with its Envoy."""
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-2:] == ["mesh-standin", "proxy"]:
                yield [process, *process.children(recursive=True)]
        except psutil.Error:
            continue  # it has ended, or is somebody else's


def _in_asker(app: Cluster, *words: str, seconds: float) -> list[dict[str, Any]]:
    """What ``roundtrip`` prints in the meshed pod that asks."""
    text = app.run_program(f"{NAMESPACE}/asker", "roundtrip", *words, f"--seconds={seconds}", timeout=seconds + READY_TIMEOUT)
    return [json.loads(line) for line in text.splitlines()]


def _policy_changes(app: Cluster) -> list[float]:
    """Seconds from the API server's answer to each change of policy until calls on an open connection follow it."""
    changed: list[tuple[float, str]] = []
    with ThreadPoolExecutor() as pool:
        watching = pool.submit(_in_asker, app, "watch", URL, seconds=BETWEEN * (CHANGES + 3))
        time.sleep(2 * BETWEEN)
        for number in range(CHANGES):
            policy, status = ("all-unauthenticated", "200") if number % 2 else ("deny", "403")
            kube.apply(app.api, [_server(policy)], NAMESPACE)
            changed.append((time.time(), status))
            time.sleep(BETWEEN)
        seen = watching.result()
    kube.delete(app.api, f"{POLICY}/Server", "echo-http", NAMESPACE)
    return delays(changed, seen)


def delays(changed: list[tuple[float, str]], seen: list[dict[str, Any]]) -> list[float]:
    """For each change (Unix time, the status it should bring): how much later that status was seen, 0 if it was seen before.

    Raises:
        LabError: a change did not show, or the connection did not stay open.
    """
    if (connections := seen[-1]["connections"]) != 1:
        raise errors.LabError(f"expected one connection to stay open; found {connections}", fix="linkerd --context app check")
    shown = [(row["time"], row["status"]) for row in seen[:-1]][1:]
    if [status for _, status in shown] != [status for _, status in changed]:
        wanted, found = ([status for _, status in rows] for rows in (changed, shown))
        raise errors.LabError(f"expected the statuses {wanted}; found {found}", fix="linkerd --context app check")
    return [max(0.0, after - before) for (before, _), (after, _) in zip(changed, shown, strict=True)]


def _server(policy: str) -> kube.Object:
    spec = {"podSelector": {"matchLabels": {"app": "echo"}}, "port": "http", "proxyProtocol": "HTTP/1", "accessPolicy": policy}
    return {"apiVersion": POLICY, "kind": "Server", "metadata": {"name": "echo-http"}, "spec": spec}


def _new_pod(app: Cluster, name: str) -> float:
    """Seconds from when a meshed pod has a node until it is ready, its probe every second included."""
    (echo,) = kube.select(app.api, "Deployment", NAMESPACE, fields="metadata.name=echo")
    template = echo["spec"]["template"]
    metadata = {"name": name, "labels": {"app": name}}
    kube.apply(app.api, [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}], NAMESPACE)
    try:
        kube.wait(app.api, "Pod", name, NAMESPACE, _scheduled, timeout=READY_TIMEOUT, pause=PRECISION)
        scheduled = time.monotonic()
        kube.wait(app.api, "Pod", name, NAMESPACE, kube.ready, timeout=READY_TIMEOUT, pause=PRECISION)
        return time.monotonic() - scheduled
    finally:
        kube.delete(app.api, "Pod", name, NAMESPACE, grace=1)


def _scheduled(pod: kube.Object | None) -> str | None:
    """Condition: the pod has a node."""
    return None if pod and pod["spec"].get("nodeName") else "it has no node"


def _linkerd_check() -> float:
    started = time.monotonic()
    command = [str(Paths.current().bin / "linkerd"), "--context", "app", "check"]
    shell.run(command, env={"KUBECONFIG": str(Paths.current().kubeconfig)}, timeout=READY_TIMEOUT)
    return time.monotonic() - started


def _rollout(app: Cluster) -> dict[str, float]:
    """Requests that failed while all pods behind a Service were replaced, twice, under callers that never pause."""
    app.kubectl("scale", "deploy/echo", "--namespace", NAMESPACE, f"--replicas={ROLLED_PODS}")
    kube.wait(app.api, *ECHO, kube.rolled_out, timeout=READY_TIMEOUT)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(_in_asker, app, "ask", URL, f"--connections={ROLL_CALLERS}", seconds=ROLL_SECONDS)
        for _ in range(2):
            app.kubectl("rollout", "restart", "deploy/echo", "--namespace", NAMESPACE)
            kube.wait(app.api, *ECHO, kube.rolled_out, timeout=READY_TIMEOUT)
        (seen,) = asking.result()
    app.kubectl("scale", "deploy/echo", "--namespace", NAMESPACE, "--replicas=1")
    failed = sum(seen["failed"].values())
    return {"mesh_rollout_requests": len(seen["microseconds"]) + failed, "mesh_rollout_failed": failed}
