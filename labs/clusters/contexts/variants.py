"""``.lab/manifests/``: the manifests as these clusters need them, under names that all backends share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from labs import config
from labs.clusters.contexts.plan import Plan

FOLDER = config.STATE / "manifests"
IMAGE_NAME = config.LAB_IMAGE.partition(":")[0]


def write(plan: Plan) -> None:
    """Write a kustomize folder per workload."""
    real_gpus = any(cluster.gpus for cluster in plan.clusters)
    _write("gpu-simulator", plan, patches=[_without_simulator()] if real_gpus else [])
    # Real GPU nodes have the labels of their cloud, not always NVIDIA's: the resource itself says where there are GPUs.
    _write("model-server", plan, patches=[_anywhere()] if real_gpus else [])
    _write("chat", plan, patches=_chat(plan))
    for cluster in plan.clusters:
        _write(f"prometheus-{cluster.name}", plan, base="prometheus")


def _write(name: str, plan: Plan, *, base: str | None = None, patches: list[dict[str, Any]] | None = None) -> None:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # Kustomize takes no absolute paths.
        "resources": [os.path.relpath(config.MANIFESTS / (base or name), Path(os.path.realpath(folder)))],
        "images": [{"name": IMAGE_NAME, **image(plan.options.image)}],
        "patches": patches or [],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


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
