"""How much of this machine's memory the lab's processes use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import psutil

from labs.telemetry.charts import Chart, bars

MIB = 2**20
NONE = "No lab process is running."


def by_component(children: Iterable[Mapping[str, Any]]) -> pd.Series:
    """MiB per supervised process, including its descendants, the largest first.

    This is the proportional set size: a page shared by several processes counts once in the sum (proc(5), smaps).
    ``children`` are rows of ``lab status``, with ``name`` and ``pid``.
    """
    sizes: Counter[str] = Counter()
    for child in children:
        if child["pid"]:
            sizes[child["name"]] += sum(_pss(process) for process in _family(int(child["pid"])))
    return pd.Series(dict(sizes), dtype="float64").sort_values(ascending=False).div(MIB).round(1)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def chart(children: Iterable[Mapping[str, Any]]) -> Chart:
    """The memory of each process as bars; anything that is not a process of this machine has no bar."""
    rows = list(children)
    sizes = by_component(rows)
    nothing = "The nodes are not processes of this machine; for kind and k3d, see docker stats." if rows else NONE
    reading = f"All together: {sizes.sum() / 1024:.1f} GiB." if len(sizes) else nothing
    return bars(sizes, title="Memory of the lab's processes, including the pods they run", unit="MiB", reading=reading)
