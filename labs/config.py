"""Where things are, and which versions are pinned.

One place for each fact: paths here, versions in ``clusters/versions.toml``, the set of clusters in ``clusters/topology.toml``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
STATE = Path(os.environ.get("LAB_STATE") or ROOT / ".lab").absolute()
"""What a lab leaves while it exists: state, kubeconfig, logs. ``$LAB_STATE`` names another folder, so that one checkout can drive
a second lab on clusters it did not make (``docs/contexts.md``)."""
KUBECONFIG = STATE / "kubeconfig"
LOGS = STATE / "logs"
BIN = STATE / "bin"
"""Command-line tools a learner's shell finds first."""
CLUSTERS = ROOT / "clusters"
MANIFESTS = CLUSTERS / "manifests"
NOTEBOOKS = ROOT / "notebooks"
REPORT = ROOT / "report"
LAB_IMAGE = "boring-ops-lab/lab:dev"
"""The image of the lab's own programs, as the manifests name it."""


def lab_image() -> str:
    """The image as this lab's nodes pull it: ``.lab/image`` says so where that is a registry of the user's."""
    named = STATE / "image"
    return named.read_text().strip() if named.exists() else LAB_IMAGE


def log_path(name: str) -> Path:
    """The log file of the supervisor's child ``name``: ``app/kube-apiserver`` → ``.lab/logs/app-kube-apiserver.log``."""
    return LOGS / f"{name.replace('/', '-')}.log"


def cache_dir() -> Path:
    """The user's cache folder for the lab (``$XDG_CACHE_HOME`` is honoured)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "boring-ops-lab"


def run_dir() -> Path:
    """A short folder for Unix sockets, one per lab: a socket's path may have 107 bytes at most (unix(7))."""
    return cache_dir() / "run" / hashlib.sha256(str(STATE).encode()).hexdigest()[:8]


def plain_state() -> Path:
    """``STATE`` by a path that needs no quotes in a shell: a link to it, in ``run_dir``, where its own has spaces or such."""
    return STATE if re.fullmatch(r"[\w./@+-]+", str(STATE)) else run_dir() / "state"


@cache
def versions() -> dict[str, Any]:
    """The pinned versions, as ``clusters/versions.toml`` has them."""
    return tomllib.loads((CLUSTERS / "versions.toml").read_text())


@dataclass(frozen=True)
class GpuSpec:
    """The simulated cards of one node."""

    product: str
    count: int


@dataclass(frozen=True)
class NodeSpec:
    """One node of a cluster: ``index`` counts from 0, the control plane first.

    ``schedulable`` is said of a control plane that takes ordinary pods too (it then carries no taint).
    """

    name: str
    index: int
    control_plane: bool = False
    gpu: GpuSpec | None = None
    schedulable: bool = False
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster of the lab: its name is also its kubeconfig context."""

    name: str
    title: str
    pod_range: ipaddress.IPv4Network
    service_range: ipaddress.IPv4Network
    nodes: tuple[NodeSpec, ...]


def _node(index: int, row: dict[str, Any]) -> NodeSpec:
    gpu = GpuSpec(**row["gpu"]) if "gpu" in row else None
    return NodeSpec(
        row["name"], index, row.get("control-plane", False), gpu, row.get("schedulable", False), row.get("labels", {})
    )


@cache
def topology() -> tuple[ClusterSpec, ...]:
    """The clusters of the lab, in the order ``clusters/topology.toml`` lists them."""
    rows = tomllib.loads((CLUSTERS / "topology.toml").read_text())["cluster"]
    return tuple(
        ClusterSpec(
            name=row["name"],
            title=row["title"],
            pod_range=ipaddress.IPv4Network(row["pods"]),
            service_range=ipaddress.IPv4Network(row["services"]),
            nodes=tuple(_node(i, node) for i, node in enumerate(row["node"])),
        )
        for row in rows
    )
