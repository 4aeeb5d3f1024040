"""The resources the running lab uses: processor time and memory of the supervisor and everything below it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import psutil

from labs.embedded import control


@dataclass(frozen=True)
class Usage:
    """``cores``: processors in use on average; ``pss_bytes``: memory, with shared pages counted once."""

    cores: float
    pss_bytes: int
    processes: int


def measure(seconds: float) -> Usage:
    """Watch the lab's processes for ``seconds``; processes that end meanwhile are left out.

    Raises:
        NotRunning: no lab is up.
    """
    supervisor = psutil.Process(control.require().pid)
    watchdog = supervisor.parent() or supervisor
    processes = [watchdog, *watchdog.children(recursive=True)]
    before = {process.pid: _cpu_seconds(process) for process in processes}
    time.sleep(seconds)
    used, memory = 0.0, 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            used += _cpu_seconds(process) - before[process.pid]
            memory += process.memory_full_info().pss
    return Usage(used / seconds, memory, len(processes))


def _cpu_seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
