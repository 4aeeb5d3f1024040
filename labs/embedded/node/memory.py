"""Memory limits without cgroups: the processes of a limited container are measured, and killed when they hold too much."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from labs.embedded.node import quantity
from labs.embedded.node.containers import ContainerRunner
from labs.embedded.node.shim import descendants

PERIOD = 0.5
"""Seconds between two measurements of a container that holds more than half of its limit."""
RELAXED_PERIODS = 4
"""A container below half of its limit is measured only once in this many periods: measuring all constantly costs CPU."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def used(pid: int) -> int:
    """Bytes of private memory held by ``pid`` and its descendants; program files mapped by many do not count, as in a cgroup."""
    total = 0
    for process in [pid, *descendants(pid)]:
        try:
            with open(f"/proc/{process}/statm") as file:
                _, resident, shared, *_ = file.read().split()
        except OSError:  # it ended while we looked
            continue
        total += (int(resident) - int(shared)) * PAGE
    return total


def limit_of(runner: ContainerRunner) -> int | None:
    """The container's memory limit in bytes, as granted by the node."""
    limit = runner.record.allocated.get("limits", {}).get("memory")
    return quantity.whole(limit) if limit is not None else None


async def enforce(runners: Callable[[], Iterable[ContainerRunner]]) -> None:
    """Watch over all limited containers; runs until cancelled."""
    tick = 0
    tense: set[str] = set()
    while True:
        await asyncio.sleep(PERIOD)
        tick += 1
        for runner in runners():
            record, limit = runner.record, limit_of(runner)
            if limit is None or record.pid is None or (record.container_id not in tense and tick % RELAXED_PERIODS):
                continue
            amount = used(record.pid)
            (tense.add if amount > limit / 2 else tense.discard)(record.container_id)
            if amount > limit:
                tense.discard(record.container_id)
                runner.kill_out_of_memory()
