"""What to compile, from which Go modules, with which flags: the input of the cache's key."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from labs import config
from labs.paths import cache_dir

GO_MODULES = config.CLUSTERS / "embedded" / "go"
COMPONENT_VERSION = "k8s.io/component-base/version"
STRIP = "-s -w"
"""Linker flags that leave out debug information: 171 MB become 105 MB for kube-apiserver."""
GIGABYTE = 10**9


@dataclass(frozen=True)
class Recipe:
    """A Go module with its own go.mod, and the programs to compile from it."""

    title: str
    module: Path
    programs: dict[str, str]
    """Name of the program → Go package."""
    ldflags: str = STRIP
    tags: str = ""
    need_bytes: int = 0
    """Free disk needed while compiling: modules, compiler cache and programs together (measured, rounded up)."""
    cpu_minutes: float = 1.0
    """CPU time of a build from scratch, for the first estimate."""

    @property
    def key(self) -> str:
        """Identifies what is built: the pinned modules, the flags, the platform. Not the Go that compiles it."""
        parts = [
            (self.module / "go.mod").read_text(),
            (self.module / "go.sum").read_text(),
            *(path.read_text() for path in sorted(self.module.rglob("*.go"))),
            json.dumps(self.programs, sort_keys=True),
            self.ldflags,
            self.tags,
            platform.system(),
            platform.machine(),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return self.module.name

    @property
    def output(self) -> Path:
        """Where the finished programs are: the folder appears under this name only when it is complete."""
        return cache_dir() / "programs" / f"{self.name}-{self.key}"

    @property
    def workspace(self) -> Path:
        """The build's own module and compiler caches; kept when a build is interrupted, removed when it is done."""
        return cache_dir() / "build" / f"{self.name}-{self.key}"


def _stamps() -> str:
    """Linker flags without which the programs call themselves v0.0.0-master."""
    version = config.versions()["kubernetes"]["version"]
    major, minor, _ = version.split(".")
    names = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X {COMPONENT_VERSION}.{name}={value}" for name, value in names.items())


def kubernetes() -> Recipe:
    """etcd and the three control-plane programs."""
    programs = {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager")}
    return Recipe(
        title="Kubernetes and etcd",
        module=GO_MODULES / "kubernetes",
        programs=programs | {"etcd": "go.etcd.io/etcd/server/v3"},
        ldflags=f"{STRIP} {_stamps()}",
        need_bytes=7 * GIGABYTE,
        cpu_minutes=13,
    )


def node() -> Recipe:
    """What a node in a sandbox needs: the kubelet, with our own main, and the program that carries exec and attach."""
    return Recipe(
        title="the kubelet",
        module=GO_MODULES / "node",
        programs={name: f"./{name}" for name in ("kubelet", "cri-streaming")},
        ldflags=f"{STRIP} {_stamps()}",
        need_bytes=5 * GIGABYTE,
        cpu_minutes=8,
    )


def prometheus() -> Recipe:
    """Prometheus without the service discoveries (and SDKs) of clouds."""
    version = config.versions()["prometheus"]["version"]
    return Recipe(
        title="Prometheus",
        module=GO_MODULES / "prometheus",
        programs={"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        ldflags=f"{STRIP} -X github.com/prometheus/common/version.Version={version}",
        tags="remove_all_sd,enable_kubernetes_sd",
        need_bytes=4 * GIGABYTE,
        cpu_minutes=6,
    )
