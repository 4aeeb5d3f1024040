"""What an interrupted notebook leaves in the clusters, and how it is removed.

Only what the course itself creates is removed, and nothing while a failure is active: the failure's own heal takes care of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from labs import kube, waiting
from labs.clusters.base import Cluster
from labs.lab import Lab

EXPERIMENT = "boring-ops-lab/experiment"
"""Label of what a notebook creates for one experiment and removes afterwards; the value is the notebook's number."""
EXPERIMENT_KINDS = ("Deployment", "Pod")
SHARING = "nvidia.com/device-plugin.config"
"""Label of a node whose GPUs the plugin divides; the modes are those of notebook 02."""
MODES = ("time-slicing", "mig")
COUNT = "nvidia.com/gpu.count"
ROUTE = "gateway.networking.k8s.io/v1/HTTPRoute"
ANSWERS = "resilience"
TRIED_OUT = ("retry.linkerd.io/http", "retry.linkerd.io/limit", "timeout.linkerd.io/request", "timeout.linkerd.io/idle")
"""Annotations of the Service ``answers`` that notebook 09 sets temporarily."""
GONE_TIMEOUT = 60.0
"""Seconds for pods to end, or for a node to offer its GPUs again."""
REPLICAS = 2
"""Of the model server, outside notebook 10's experiment."""


def put_away(lab: Lab, notebook: str) -> Iterator[str]:
    """Remove what is left of experiments; a line for each thing once it is gone. ``notebook`` is the one that begins."""
    if lab.active_faults():
        return
    yield from experiments(lab.gpu)
    yield from divided_gpus(lab.gpu)
    for cluster in (lab.app, lab.gpu):
        yield from scaled_down(cluster, "linkerd", "linkerd-destination", 1)
    yield from scaled_down(lab.gpu, "ml", "model-server", REPLICAS)
    yield from tried_out(lab.app)
    if notebook == "09":
        for cluster in (lab.app, lab.gpu):
            told_to_fail(cluster)


def experiments(cluster: Cluster) -> Iterator[str]:
    """Workloads of an experiment: deleted, and gone when this ends."""
    found = [(kind, row["metadata"]) for kind in EXPERIMENT_KINDS for row in kube.select(cluster.api, kind, labels=EXPERIMENT)]
    for kind, meta in found:
        kube.delete(cluster.api, kind, meta["name"], meta["namespace"])
    for kind, meta in found:
        kube.wait(cluster.api, kind, meta["name"], meta["namespace"], kube.deleted, timeout=GONE_TIMEOUT)
        waiting.wait_until(partial(_has_no_pods, cluster, meta), GONE_TIMEOUT)
        yield f"{kind.lower()} {meta['namespace']}/{meta['name']} (notebook {meta['labels'][EXPERIMENT]})"


def _has_no_pods(cluster: Cluster, meta: dict[str, Any]) -> bool:
    return not kube.select(cluster.api, "Pod", meta["namespace"], labels=f"app={meta['name']}")


def divided_gpus(cluster: Cluster) -> Iterator[str]:
    """GPUs that a plugin of the lab's divides: whole again."""
    for node in kube.select(cluster.api, "Node", labels=f"{SHARING} in ({','.join(MODES)})"):
        name, labels = node["metadata"]["name"], node["metadata"]["labels"]
        mode, count = labels[SHARING], int(labels.get(COUNT, 1))
        pods = kube.select(
            cluster.api, "Pod", "gpu-system", labels="app.kubernetes.io/name=gpu-simulator", fields=f"spec.nodeName={name}"
        )
        if not pods:  # not our plugin: the label is somebody else's
            continue
        kube.patch(cluster.api, "Node", name, None, {"metadata": {"labels": {SHARING: None}}})
        for pod in pods:
            kube.delete(cluster.api, "Pod", pod["metadata"]["name"], "gpu-system")
        kube.wait(cluster.api, "Node", name, None, _offers(count), timeout=GONE_TIMEOUT)
        yield f"node {name} divided its GPUs ({mode})"


def _offers(count: int) -> Callable[[dict[str, Any] | None], str | None]:
    def look(node: dict[str, Any] | None) -> str | None:
        offered = int((node or {}).get("status", {}).get("allocatable", {}).get("nvidia.com/gpu", 0))
        return None if offered == count else f"it offers {offered} of {count} GPUs"

    return look


def scaled_down(cluster: Cluster, namespace: str, name: str, replicas: int) -> Iterator[str]:
    """A Deployment that an experiment scaled down: scaled up again, not waited for."""
    found = kube.get(cluster.api, "Deployment", name, namespace)
    if found is None or found["spec"].get("replicas", 1) >= replicas:
        return
    kube.patch(cluster.api, "Deployment", name, namespace, {"spec": {"replicas": replicas}})
    yield f"deployment {namespace}/{name} in cluster {cluster.name} had {found['spec'].get('replicas', 1)} replicas of {replicas}"


def tried_out(cluster: Cluster) -> Iterator[str]:
    """The route and the annotations that notebook 09 gives its Service temporarily."""
    service = kube.get(cluster.api, "Service", "answers", ANSWERS)
    if service is None:
        return
    if kube.delete(cluster.api, ROUTE, "answers", ANSWERS):
        yield f"route {ANSWERS}/answers"
    if found := [name for name in TRIED_OUT if name in service["metadata"].get("annotations", {})]:
        kube.patch(cluster.api, "Service", "answers", ANSWERS, {"metadata": {"annotations": dict.fromkeys(found)}})
        yield f"annotations of service {ANSWERS}/answers: {', '.join(found)}"


def told_to_fail(cluster: Cluster) -> None:
    """The files by which notebook 09 tells its pods to be slow, sick or silent: removed."""
    for pod in kube.select(cluster.api, "Pod", ANSWERS, labels="app=answers"):
        if kube.ready(pod) is None:
            words = ("sh", "-c", "rm -f /state/*")
            cluster.kubectl("-n", ANSWERS, "exec", pod["metadata"]["name"], "-c", "answers", "--", *words)
