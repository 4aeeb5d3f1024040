"""What ``lab up`` does on the embedded backend, step by step, and how clusters and nodes come and go while the lab runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess

from labs import config, errors, kubectl, topology, waiting
from labs.embedded import control, plan, ports, programs, state
from labs.paths import Paths
from labs.record import Record
from labs.steps import Action, Progress, Step
from labs.wire import isolated, no_proxy

OBJECTS = config.CLUSTERS / "embedded" / "boot"
"""Applied to every embedded cluster when it comes up."""
NOT_READY = "node.kubernetes.io/not-ready"
STOP_GRACE = 12.0
"""Seconds the supervisor gets to stop all children before it is killed."""


def start_steps(wanted: Record, timeout: float) -> list[Step]:
    """Bring up the lab that ``wanted`` describes; ``timeout`` in seconds bounds each wait."""
    fresh = not Paths.current().kubeconfig.exists()
    return [
        Action("Programs", programs.ensure),
        Action("Keys and kubeconfig", lambda _: state.prepare(wanted), state.remove if fresh else _nothing),
        Action("Supervisor", lambda _: start_supervisor(timeout), stop_supervisor),
        *wait_steps(timeout),
    ]


def wait_steps(timeout: float) -> list[Step]:
    """The steps that only wait and apply: what ``lab up`` does when the lab is already running."""
    return [
        Action("Control planes", lambda progress: wait_for_control_planes(timeout, progress)),
        Action("Cluster objects", lambda progress: apply_objects(timeout, progress)),
        Action("Nodes", lambda progress: wait_for_nodes(timeout, progress)),
    ]


def _nothing() -> None:
    return None


def start_supervisor(timeout: float) -> None:
    """Start the supervisor in its own session and wait until it answers.

    Raises:
        AddressTaken: something else listens where the lab must.
    """
    ports.require_free(plan.listeners())
    with Paths.current().log("supervisor").open("ab") as output:
        process = subprocess.Popen(
            isolated.command("labs.embedded.supervisor", unbuffered=True),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=config.ROOT,
            env=supervisor_environment(),
        )

    def answers() -> bool:
        if process.poll() is not None:
            raise errors.StepFailed("Supervisor", f"it ended with exit code {process.returncode}", fix="lab logs supervisor")
        with contextlib.suppress(errors.TimedOut):  # it has only just started to listen
            return control.identity() is not None
        return False

    if not waiting.wait_until(answers, timeout):
        raise errors.TimedOut(f"the supervisor does not answer after {timeout:.0f} s", fix="lab logs supervisor")


def supervisor_environment() -> dict[str, str]:
    """What the lab's processes inherit: the user's proxies for downloads, but not for the clusters' own addresses."""
    environment = isolated.environment(os.environ)
    ranges = (network for spec in topology.declared() for network in spec.ranges)
    no_proxy.exempt_environment(environment, *map(str, ranges))
    return environment


def stop_supervisor(grace: float = STOP_GRACE) -> None:
    """Stop the supervisor of this checkout with all its children; kill it if it takes longer than ``grace`` seconds."""
    found = control.identity()
    if found is None:
        return
    with contextlib.suppress(errors.TimedOut):
        control.stop()

    def gone() -> bool:
        with contextlib.suppress(errors.TimedOut):
            return control.identity() is None and not _is_alive(found.pid)
        return False

    if not waiting.wait_until(gone, grace):
        # Its watchdog ends the children.
        os.kill(found.pid, signal.SIGKILL)
        waiting.wait_until(gone, grace)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_control_planes(timeout: float, progress: Progress) -> None:
    """Wait until every API server says it is ready."""
    names = ["etcd", *(f"{cluster.name}/kube-apiserver" for cluster in plan.clusters())]

    def missing() -> list[str]:
        rows = {row["name"]: row for row in control.status()["children"]}
        return [f"{name} ({_describe(rows[name])})" for name in names if rows[name]["state"] != "running"]

    state.wait_for_none(missing, timeout, progress)


def _describe(row: dict[str, object]) -> str:
    return f"{row['state']}, {row['last_exit']}" if row["last_exit"] else str(row["state"])


def apply_objects(timeout: float, progress: Progress) -> None:
    """Apply the objects in ``clusters/embedded/boot`` to every cluster."""
    for cluster in plan.clusters():
        progress.note(f"applying to {cluster.name}")
        kubectl.run(cluster.name, "apply", "--server-side", "--force-conflicts", "-f", str(OBJECTS), timeout=timeout)


def wait_for_nodes(timeout: float, progress: Progress) -> None:
    """Wait until every node takes pods."""
    state.wait_for_none(missing_nodes, timeout, progress)
    for cluster in plan.clusters():
        # The API server lets no node give itself a role; on a real cluster kubeadm sets this label as administrator.
        names = [node.name for node in cluster.spec.nodes if node.control_plane]
        kubectl.run(cluster.name, "label", "node", *names, "node-role.kubernetes.io/control-plane=", "--overwrite")


def missing_nodes() -> list[str]:
    """The nodes of the lab that take no pods yet."""
    missing: list[str] = []
    for cluster in plan.clusters():
        ready = ready_nodes(cluster.name)
        missing += [node.name for node in cluster.spec.nodes if node.name not in ready]
    return missing


def ready_nodes(context: str) -> set[str]:
    """The names of the nodes that take pods: Ready, and without the taint that the node controller lifts a moment later."""
    items = json.loads(kubectl.run(context, "get", "nodes", "-o", "json"))["items"]
    return {
        item["metadata"]["name"]
        for item in items
        if any(row["type"] == "Ready" and row["status"] == "True" for row in item["status"].get("conditions", []))
        and not any(taint["key"] == NOT_READY for taint in item["spec"].get("taints", []))
    }
