"""``lab doctor``: whether this machine can run a backend. It reports all findings at once, each with how to fix it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import psutil

from labs import errors, topology
from labs.clusters import backends
from labs.embedded import plan, ports
from labs.paths import Paths, cache_dir
from labs.setup import doctor_docker, doctor_files, doctor_network, doctor_tools
from labs.setup.findings import Finding

if TYPE_CHECKING:
    from labs.telemetry.charts import Chart

GIB = 1024**3
MEMORY_NEEDED = 4.0
"""GiB of the lab with JupyterLab and ten open notebooks (3.9 measured as sum of PSS). README says the same: a test compares."""
DISK_NEEDED_BUILT = 1.0
"""GiB for etcd's data, logs and the report once the programs are compiled."""
DISK_NEEDED_TO_BUILD = 8.0
"""GiB while Kubernetes is being compiled: 4 for the compiler's cache, 3 for modules, the rest for the programs."""
CORES_NEEDED = 2
OPEN_FILES_NEEDED = 1024
INOTIFY_NEEDED = 64
"""inotify instances for one lab, with spares (about 50 counted): each API server, controller manager and Envoy holds several."""
CGROUP = Path("/sys/fs/cgroup")
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def examine(backend: str = "auto") -> list[Finding]:
    """Examine this machine for a backend (``auto``: the one that ``lab up`` would choose). Changes nothing."""
    name, reason = (backend, "you asked for it") if backend != "auto" else _choice()
    common = [Finding("backend", True, f"{name} ({reason})"), python()]
    return [*common, *LOOKS[name](), *doctor_files.looks(), doctor_network.loopback_is_direct(), *doctor_tools.for_backend(name)]


def _choice() -> tuple[str, str]:
    chosen, reason = backends.choose()
    return chosen.name, reason


def embedded() -> list[Finding]:
    """What the embedded backend needs."""
    looks = (system, cores, memory, disk, loopback, addresses, open_files, inotify, programs)
    return [look() for look in looks]


def containers() -> list[Finding]:
    """What kind and k3d need."""
    return [*doctor_docker.looks(), doctor_network.nodes_proxy(), doctor_network.tunnels()]


def contexts() -> list[Finding]:
    """What the backend for existing clusters needs: a kubeconfig with two contexts."""
    from labs.clusters.contexts import access

    found = access.contexts()
    fix = "aws eks update-kubeconfig, gcloud container clusters get-credentials, … (docs/contexts.md)"
    return [Finding("two kubeconfig contexts", len(found) >= 2, ", ".join(found) or "there are none", fix)]


LOOKS: dict[str, Callable[[], list[Finding]]] = {
    "embedded": embedded,
    "kind": containers,
    "k3d": containers,
    "contexts": contexts,
}


def python() -> Finding:
    found = platform.python_version()
    return Finding("Python 3.11 or newer", sys.version_info >= (3, 11), found, "install a newer Python, then ./scripts/lab again")


def system() -> Finding:
    found = f"{platform.system()} {platform.machine()}"
    fix = "the embedded backend needs Linux (on Windows: WSL2); kind and k3d need a Docker engine: lab doctor --backend kind"
    return Finding("Linux", platform.system() == "Linux", found, fix)


def cores() -> Finding:
    count = os.process_cpu_count() if hasattr(os, "process_cpu_count") else len(psutil.Process().cpu_affinity())
    return Finding(
        f"{CORES_NEEDED} cores or more", (count or 1) >= CORES_NEEDED, f"{count}", "expect everything to take longer on fewer"
    )


def available_memory() -> float:
    """GiB that programs can use before the machine swaps, but no more than the limit of the container this runs in."""
    limit = CGROUP / "memory.max"
    free = psutil.virtual_memory().available
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        used = int((CGROUP / "memory.current").read_text())
        free = min(free, int(text) - used)
    return free / GIB


def memory() -> Finding:
    free = available_memory()
    fix = "close some programs; with less memory the lab runs, slowly"
    return Finding(f"{MEMORY_NEEDED:.0f} GiB of free memory", free >= MEMORY_NEEDED, f"{free:.1f} GiB", fix)


def disk_needed() -> float:
    """GiB of free disk that the next step needs: a lot until the programs are compiled, little afterwards."""
    return DISK_NEEDED_BUILT if _programs_are_built() else DISK_NEEDED_TO_BUILD


def free_disk() -> float:
    """GiB free on the disk of the cache folder."""
    return shutil.disk_usage(doctor_files.nearest(cache_dir())).free / GIB


def disk() -> Finding:
    free, needed = free_disk(), disk_needed()
    fix = f"free some space on the disk of {cache_dir()}, or set XDG_CACHE_HOME to a folder on a larger one"
    return Finding(f"{needed:.0f} GiB of free disk", free >= needed, f"{free:.1f} GiB", fix)


def loopback() -> Finding:
    """All of 127.0.0.0/8 must be usable, as it is on Linux; other systems configure only 127.0.0.1."""
    try:
        for spec in topology.defaults():
            second = str(spec.pod_range).split(".")[1]
            with socket.socket() as probe:
                probe.bind((f"127.{second}.255.254", 0))
    except OSError as error:
        return Finding("addresses 127.x.y.z", False, str(error), "the embedded backend needs Linux's whole loopback range")
    return Finding("addresses 127.x.y.z", True, "usable")


def addresses() -> Finding:
    """The lab's fixed addresses are free, or in use by this checkout's lab."""
    name = "the lab's ports"
    if Paths.current().kubeconfig.exists():
        return Finding(name, True, "in use by this checkout's lab, which is running")
    try:
        ports.require_free(plan.listeners())
    except errors.AddressTaken as error:
        return Finding(name, False, error.message, error.fix)
    return Finding(name, True, "free")


def open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else 1_000_000
    fix = "use a shell without a lower limit (ulimit -Hn shows it), or raise it in /etc/security/limits.conf"
    return Finding(f"{OPEN_FILES_NEEDED} open files", limit >= OPEN_FILES_NEEDED, f"{soft} ({limit} at most)", fix)


def inotify() -> Finding:
    """The kernel limits the inotify instances of each user; if none is left, an API server or an Envoy does not start."""
    name = f"{INOTIFY_NEEDED} free inotify instances"
    if not INOTIFY_LIMIT.exists():
        return Finding(name, True, "this system has no such limit")
    limit, held = int(INOTIFY_LIMIT.read_text()), inotify_instances()
    found = f"{limit - held} free ({held} of {limit} in use)"
    # A running lab already holds its own.
    good = limit - held >= INOTIFY_NEEDED or (Paths.current().kubeconfig.exists() and held < limit)
    return Finding(name, good, found, "sudo sysctl fs.inotify.max_user_instances=512")


def inotify_instances() -> int:
    """The number of inotify instances that this user's processes hold now."""
    return sum(_watches(link) for process in psutil.process_iter() if _is_ours(process) for link in _links(process.pid))


def _is_ours(process: psutil.Process) -> bool:
    try:
        return process.uids().real == os.getuid()
    except psutil.Error:
        return False


def _links(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []


def _watches(link: Path) -> bool:
    try:
        return os.readlink(link) == "anon_inode:inotify"
    except OSError:
        return False


def programs() -> Finding:
    found = "compiled" if _programs_are_built() else "not compiled yet: the first 'lab up' takes about ten minutes longer"
    return Finding("Kubernetes programs", True, found)


def _programs_are_built() -> bool:
    from labs.embedded import programs as compiled

    return compiled.are_built()


def headroom_chart() -> Chart:
    """What the lab will use, next to what this machine has free now."""
    from labs.telemetry.charts import bars

    values = {
        "memory: needed": MEMORY_NEEDED,
        "memory: free": available_memory(),
        "disk: needed": disk_needed(),
        "disk: free": free_disk(),
    }
    reading = "Each bar for what is free should be longer than the bar above it, for what is needed."
    return bars(pd.Series(values), title="Needed and free on this machine", unit="GiB", reading=reading)
