"""What kind and k3d need: a Docker engine with enough memory, on a system where nodes can be containers."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

import psutil

from labs import config, errors, shell
from labs.clusters.docker import engine as docker
from labs.clusters.docker.engine import GIB, Engine
from labs.setup.findings import Finding

CPUS_NEEDED = 2
DISK_NEEDED = 12.0
"""GiB: node and workload images of two clusters, unpacked in the engine and once more in each of six nodes."""
INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
"""The limits that kind's page of known issues recommends ("too many open files"): all node containers share one user's limits."""
INOTIFY_FOLDER = Path("/proc/sys/fs/inotify")
WINDOWS_DISKS = "/mnt/"
"""Where WSL2 shows Windows' own disks: file access there is many times slower."""


def looks() -> list[Finding]:
    """All findings about Docker. Without an engine, the first finding says so, and those that need one are left out."""
    try:
        engine = docker.engine()
    except errors.LabError as error:
        return [Finding("Docker engine", False, error.message, error.fix), *system(), *inotify()]
    return [
        Finding("Docker engine", True, f"{engine.version} ({engine.system}, {engine.platform})"),
        memory(engine),
        cpus(engine),
        cgroup(engine),
        disk(),
        *system(engine),
        *inotify(),
    ]


def memory(engine: Engine) -> Finding:
    fix = "Docker Desktop: Settings, Resources, Memory: 6 GiB or more; else: lab up --backend k3d (lighter), or embedded"
    name = f"{docker.MEMORY_NEEDED} GiB of memory for the engine"
    return Finding(name, engine.memory >= docker.MEMORY_NEEDED * GIB, f"{engine.memory / GIB:.1f} GiB", fix)


def cpus(engine: Engine) -> Finding:
    fix = "Docker Desktop: Settings, Resources, CPU limit; with fewer, expect everything to take longer"
    return Finding(f"{CPUS_NEEDED} CPUs or more for the engine", engine.cpus >= CPUS_NEEDED, str(engine.cpus), fix)


def cgroup(engine: Engine) -> Finding:
    """Kubelets from 1.35 on reject version 1 unless their configuration allows it, as the lab's does."""
    words = {2: "version 2", 1: "version 1: works here, with warnings; Kubernetes is about to drop it"}
    fix = "a Docker engine on a system with cgroups (Linux 5.8 or newer has version 2)"
    return Finding("cgroup version", engine.cgroup in words, words.get(engine.cgroup, str(engine.cgroup)), fix)


def disk() -> Finding:
    """Free space for images: on Linux, where Docker keeps them; elsewhere, on the user's disk, which holds the virtual disk."""
    folder = Path.home()
    if sys.platform == "linux":
        try:
            folder = Path(shell.run(["docker", "info", "--format", "{{.DockerRootDir}}"], timeout=20).strip())
        except errors.LabError:
            pass
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    return Finding(f"{DISK_NEEDED:.0f} GiB of free disk", free >= DISK_NEEDED, f"{free:.1f} GiB", "docker system prune --all")


def system(engine: Engine | None = None) -> list[Finding]:
    """Findings that apply only to this kind of machine."""
    if sys.platform == "darwin":
        return [apple(engine)]
    return [wsl()] if "microsoft" in platform.release().lower() else []


def apple(engine: Engine | None) -> Finding:
    """On Apple silicon, everything must be arm64: emulation works, but is so slow that probes fail."""
    silicon = platform.machine() == "arm64" or _translated()
    if not silicon:
        return Finding("macOS", True, "Intel")
    if _translated():
        return Finding("Apple silicon", False, "this Python runs under Rosetta", "a native Python: brew install python@3.12")
    if engine and engine.architecture != "arm64":
        return Finding("Apple silicon", False, f"the engine runs {engine.architecture}", "a Docker Desktop for Apple silicon")
    return Finding("Apple silicon", True, "arm64 throughout")


def _translated() -> bool:
    try:
        return shell.run(["sysctl", "-n", "sysctl.proc_translated"], timeout=10).strip() == "1"
    except errors.LabError:
        return False


def wsl() -> Finding:
    if "wsl2" not in platform.release().lower():
        return Finding("WSL2", False, f"WSL 1 ({platform.release()})", "in PowerShell: wsl --set-version DISTRIBUTION 2")
    if str(config.ROOT).startswith(WINDOWS_DISKS):
        return Finding("WSL2", False, f"this checkout is on Windows' disk ({config.ROOT})", f"git clone it below {Path.home()}")
    return Finding("WSL2", True, f"with {psutil.virtual_memory().total / GIB:.0f} GiB (.wslconfig says how much)")


def inotify() -> list[Finding]:
    """The kernel's limits, if the engine shares this kernel."""
    if sys.platform != "linux" or not INOTIFY_FOLDER.exists():
        return []
    found = []
    for name, wanted in INOTIFY.items():
        limit = int((INOTIFY_FOLDER / name).read_text())
        found.append(Finding(f"inotify {name}", limit >= wanted, str(limit), f"sudo sysctl fs.inotify.{name}={wanted}"))
    return found
