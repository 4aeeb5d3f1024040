"""The steps of ``lab up`` on clusters that exist: each is harmless when it was done before."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from labs import kube, kubectl, record
from labs.clusters import kubeconfig
from labs.clusters.base import Cluster
from labs.clusters.contexts import plan, removal, variants
from labs.clusters.contexts.inspection import GPU
from labs.clusters.contexts.plan import ClusterPlan, Plan
from labs.paths import Paths
from labs.record import Record
from labs.steps import Action, Progress, Step

PART_OF = {"app.kubernetes.io/part-of": "boring-ops-lab"}


def write_state(wanted: Plan, documents: Mapping[str, str]) -> None:
    """Write ``.lab``; the record is there before anything is made, so that it can be removed again."""
    for folder in (Paths.current().state, Paths.current().logs, Paths.current().bin):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kubeconfig.write(documents)
    (Paths.current().state / "image").write_text(wanted.options.image)
    kubectl.write_link()
    record.write(Record("contexts", ()).with_clusters({*wanted.options.contexts}))
    variants.write(wanted)
    parts = [replace(part, before=removal.labelled(Cluster(part.name))) for part in wanted.clusters]
    replace(wanted, clusters=parts).save()


def remove_state() -> None:
    shutil.rmtree(Paths.current().state, ignore_errors=True)


def steps(wanted: Plan, timeout: float) -> list[Step]:
    """Namespaces, labels and the GPU simulator, cluster by cluster; undone by what ``lab down`` does."""
    made: list[Step] = []
    for part in wanted.clusters:
        made.append(Action(f"Namespaces in {part.context}", partial(make_namespaces, part), partial(remove, part.name)))
        if part.simulate:
            made.append(Action(f"GPU simulator in {part.context}", partial(simulate, part, timeout)))
    return made


def remove(name: str) -> None:
    """Remove what the record says of one cluster."""
    removal.remove(Cluster(name), plan.part(name))


def make_namespaces(part: ClusterPlan, progress: Progress) -> None:
    """The lab's namespaces, with its label."""
    progress.note(", ".join(part.namespaces))
    metadata = [{"name": name, "labels": PART_OF} for name in part.namespaces]
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": row} for row in metadata]
    kube.apply(Cluster(part.name).api, spaces)


def simulate(part: ClusterPlan, timeout: float, progress: Progress) -> None:
    """Label the nodes, run the simulator on them, and wait until they offer GPUs."""
    cluster = Cluster(part.name)
    for node, labels in part.labels.items():
        if labels:
            cluster.kubectl("label", "node", node, "--overwrite", *(f"{key}={value}" for key, value in labels.items()))
    cluster.apply(Paths.current().manifests / "gpu-simulator")
    progress.note("waiting for the simulator's pods")
    kube.wait(cluster.api, "DaemonSet", "gpu-simulator", "gpu-system", kube.rolled_out, timeout=timeout)
    for node in part.labels:
        progress.note(f"waiting for {node} to offer {GPU}")
        kube.wait(cluster.api, "Node", node, None, offers_gpus, timeout=timeout)


def offers_gpus(found: kube.Object | None) -> str | None:
    """Condition: a node's kubelet knows the device plugin."""
    count = int((found or {}).get("status", {}).get("allocatable", {}).get(GPU, 0))
    return None if count else f"it offers no {GPU}"
