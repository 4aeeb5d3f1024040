"""What a fresh embedded cluster needs besides its processes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from labs import config, errors, shell
from labs.embedded import bringup, plan
from labs.steps import Progress

OBJECTS = config.CLUSTERS / "embedded" / "boot"
"""Applied to every embedded cluster when it comes up."""
NOT_READY = "node.kubernetes.io/not-ready"
WORKLOADS = ("gpu-simulator", "model-server", "chat")
"""What notebooks apply from ``.lab/manifests``, since on the user's own clusters it has another image, or other GPUs."""


def kubectl_program() -> str:
    """The ``kubectl`` of this environment.

    Raises:
        NotFound: neither the environment nor the PATH has one.
    """
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        raise errors.NotFound("program", "kubectl", fix="./scripts/lab doctor")
    return found


def write_kubectl() -> None:
    """``.lab/bin/kubectl``: the environment's kubectl, for a learner's shell."""
    link = config.BIN / "kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(kubectl_program())


def kubectl(context: str, *args: str, timeout: float = 30) -> str:
    command = [kubectl_program(), f"--kubeconfig={config.KUBECONFIG}", f"--context={context}", *args]
    return shell.run(command, timeout=timeout)


def apply(timeout: float, progress: Progress) -> None:
    """Apply the objects in ``clusters/embedded/boot`` to every cluster."""
    for cluster in plan.clusters():
        progress.note(f"applying to {cluster.name}")
        kubectl(cluster.name, "apply", "--server-side", "--force-conflicts", "-f", str(OBJECTS), timeout=timeout)


def wait_for_nodes(timeout: float, progress: Progress) -> None:
    """Until every node of the topology takes pods."""
    bringup.wait_for_none(missing_nodes, timeout, progress)
    for cluster in plan.clusters():
        # The API server lets no node give itself a role; on a real cluster kubeadm writes this label as administrator.
        names = [node.name for node in cluster.spec.nodes if node.control_plane]
        kubectl(cluster.name, "label", "node", *names, "node-role.kubernetes.io/control-plane=", "--overwrite")


def link_manifests() -> None:
    """``.lab/manifests/``: this backend's variants of manifests, under names that all backends share."""
    folder = config.STATE / "manifests"
    folder.mkdir(exist_ok=True)
    link_workloads(folder)
    for cluster in plan.clusters():
        link = folder / f"prometheus-{cluster.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(config.CLUSTERS / "embedded" / "prometheus" / cluster.name)


def link_workloads(folder: Path) -> None:
    """Link the workloads that are right as they are on every backend whose clusters the lab makes."""
    for name in WORKLOADS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(config.MANIFESTS / name)


def missing_nodes() -> list[str]:
    missing = []
    for cluster in plan.clusters():
        ready = ready_nodes(cluster.name)
        missing += [node.name for node in cluster.spec.nodes if node.name not in ready]
    return missing


def ready_nodes(context: str) -> set[str]:
    """The names of the nodes that take pods: Ready, and without the taint that the node controller lifts a moment later."""
    items = json.loads(kubectl(context, "get", "nodes", "-o", "json"))["items"]
    return {
        item["metadata"]["name"]
        for item in items
        if any(row["type"] == "Ready" and row["status"] == "True" for row in item["status"].get("conditions", []))
        and not any(taint["key"] == NOT_READY for taint in item["spec"].get("taints", []))
    }
