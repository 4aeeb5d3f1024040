"""What containers use, read from ``/proc``: one pass over all processes covers every container."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK = 10**9 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Usage:
    """Usage of all processes of one container."""

    cpu: int = 0
    """Nanoseconds of CPU time, including that of children that were waited for."""
    memory: int = 0
    """Bytes of private memory; files mapped by many do not count, as in a cgroup."""
    resident: int = 0
    """Bytes in memory, mapped files included."""
    processes: int = 0
    faults: int = 0
    major_faults: int = 0


def by_mounts(wanted: set[str]) -> dict[str, Usage]:
    """The use of each mount namespace in ``wanted`` (as ``/proc/PID/ns/mnt`` calls it)."""
    found = {mounts: Usage() for mounts in wanted}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                total = found.get(os.readlink(f"/proc/{name}/ns/mnt"))
                if total is not None:
                    _add(total, Path("/proc", name))
            except OSError:
                continue  # it ended while we looked, or it is the kernel's
    return found


def _add(total: Usage, process: Path) -> None:
    fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    _, resident, shared, *_ = map(int, (process / "statm").read_bytes().split())
    total.cpu += sum(map(int, fields[11:15])) * TICK
    total.faults += int(fields[7])
    total.major_faults += int(fields[9])
    total.memory += (resident - shared) * PAGE
    total.resident += resident * PAGE
    total.processes += 1


@dataclass(frozen=True)
class Files:
    """The content of a folder."""

    bytes: int
    inodes: int


def files(folder: Path) -> Files:
    """Bytes and inodes below ``folder``, except on other file systems."""
    try:
        device = os.lstat(folder).st_dev
    except OSError:
        return Files(0, 0)
    size = count = 0
    for path, folders, names in os.walk(folder):
        count += 1 + len(names)
        for name in names:
            try:
                size += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue  # it was removed meanwhile
        folders[:] = [name for name in folders if _is_on(os.path.join(path, name), device)]
    return Files(size, count)


def _is_on(path: str, device: int) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except OSError:
        return False


def network(pid: int) -> list[tuple[str, int, int, int, int]]:
    """Per link of the process's network: name, bytes in, errors in, bytes out, errors out."""
    rows = []
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        rows.append((name.strip(), int(fields[0]), int(fields[2]), int(fields[8]), int(fields[10])))
    return rows
