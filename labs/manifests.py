"""``.lab/manifests/``: this lab's variants of manifests, under names that all backends share.

``gpu-simulator``, ``model-server`` and ``chat``; per cluster ``prometheus-CLUSTER``, and per cluster with GPUs
``model-server-CLUSTER``, whose answers say which cluster they come from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from labs import config
from labs.paths import Paths
from labs.topology import ClusterSpec

WORKLOADS = ("gpu-simulator", "model-server", "chat")
"""The same on every backend whose clusters the lab makes; on the user's own clusters they have another image, or other GPUs."""
MODEL_SERVER = "model-server"


def link(name: str, target: Path) -> None:
    """``.lab/manifests/NAME`` is the folder ``target`` as it is."""
    place = _cleared(name)
    place.symlink_to(target)


def kustomize(name: str, bases: Sequence[Path], *, files: dict[str, str] | None = None, **fields: Any) -> None:
    """``.lab/manifests/NAME`` is a kustomization of ``bases`` with these ``fields``; ``files`` (name → text) lie beside it."""
    place = _cleared(name)
    place.mkdir(parents=True)
    # Kustomize takes no absolute paths.
    resources = [os.path.relpath(base, Path(os.path.realpath(place))) for base in bases]
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources, **fields}
    (place / "kustomization.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for file, text in (files or {}).items():
        (place / file).write_text(text)


def remove(cluster: str) -> None:
    """Remove what is there for one cluster."""
    for prefix in ("prometheus", MODEL_SERVER):
        _cleared(f"{prefix}-{cluster}")


def write_workloads(clusters: Iterable[ClusterSpec]) -> None:
    """Link the workloads that need no change, and write a model server for each cluster with GPUs."""
    for name in WORKLOADS:
        link(name, config.MANIFESTS / name)
    for spec in clusters:
        if spec.role == "gpus":
            kustomize(f"{MODEL_SERVER}-{spec.name}", [config.MANIFESTS / MODEL_SERVER], **named_after(spec.name))


def named_after(cluster: str) -> dict[str, Any]:
    """The fields of a kustomization that make the model server's answers name ``cluster``."""
    row = {"name": MODEL_SERVER, "namespace": "ml", "behavior": "merge", "literals": [f"CLUSTER_NAME={cluster}"]}
    return {"configMapGenerator": [row]}


def _cleared(name: str) -> Path:
    """The place of a variant, with nothing there."""
    place = Paths.current().manifests / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    shutil.rmtree(place, ignore_errors=True)
    return place
