"""``.lab/manifests/``: the manifests as these clusters need them, under names that all backends share."""

from __future__ import annotations

from typing import Any

import yaml

from labs import config, manifests, topology
from labs.clusters.contexts.plan import Plan

IMAGE_NAME = config.LAB_IMAGE.partition(":")[0]


def write(plan: Plan) -> None:
    """Write a kustomize folder per workload."""
    real_gpus = any(cluster.gpus for cluster in plan.clusters)
    # Real GPU nodes have the labels of their cloud, not always NVIDIA's: the resource itself says where there are GPUs.
    model_server: dict[str, Any] = {"patches": [_anywhere()] if real_gpus else []}
    _write("gpu-simulator", plan, patches=[_without_simulator()] if real_gpus else [])
    _write(manifests.MODEL_SERVER, plan, **model_server)
    _write("chat", plan, patches=_chat(plan))
    for cluster in plan.clusters:
        _write(f"prometheus-{cluster.name}", plan, base="prometheus")
        if topology.find(cluster.name).role == "gpus":
            named = manifests.named_after(cluster.name)
            _write(f"{manifests.MODEL_SERVER}-{cluster.name}", plan, base=manifests.MODEL_SERVER, **model_server, **named)


def _write(name: str, plan: Plan, *, base: str | None = None, **fields: Any) -> None:
    images = [{"name": IMAGE_NAME, **image(plan.options.image)}]
    manifests.kustomize(name, [config.MANIFESTS / (base or name)], images=images, **fields)


def image(reference: str) -> dict[str, str]:
    """Kustomize's words for an image reference.

    >>> image("registry.example:5000/lab:1.0")
    {'newName': 'registry.example:5000/lab', 'newTag': '1.0'}
    """
    name, at, digest = reference.partition("@")
    if at:
        return {"newName": name, "digest": digest}
    head, colon, tag = name.rpartition(":")
    return {"newName": head, "newTag": tag} if colon and "/" not in tag else {"newName": name, "newTag": "latest"}


def _without_simulator() -> dict[str, Any]:
    patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "gpu-simulator"}, "$patch": "delete"}
    return {"target": {"kind": "DaemonSet", "name": "gpu-simulator"}, "patch": yaml.safe_dump(patch)}


def _anywhere() -> dict[str, Any]:
    patch = [{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]
    return {"target": {"kind": "Deployment", "name": "model-server"}, "patch": yaml.safe_dump(patch)}


def _chat(plan: Plan) -> list[dict[str, Any]]:
    wanted = {"MODEL_URL": plan.options.model_server_url, "MODEL_NAME": plan.options.model_name}
    env = [{"name": name, "value": value} for name, value in wanted.items() if value]
    if not env:
        return []
    containers = [{"name": "chat", "env": env}]
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }
    return [{"target": {"kind": "Deployment", "name": "chat"}, "patch": yaml.safe_dump(patch)}]
