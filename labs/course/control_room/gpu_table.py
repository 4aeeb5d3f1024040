"""One box per GPU: what it reports, in numbers and words, with two bars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labs.course.control_room.readings import GpuReading
from labs.course.render import render

NORMAL_STATES = ("in use", "free")
"""States that need no attention. The others get a double border, which is visible without colour, and the state says why."""


@dataclass(frozen=True)
class _Box:
    """What the template shows of one GPU; percentages are 0 to 100."""

    title: str
    state: str
    calm: bool
    busy: str
    busy_percent: int
    memory: str
    memory_percent: int
    numbers: str
    pod: str


def draw(gpus: Iterable[GpuReading]) -> str:
    """All GPUs as a grid, in HTML."""
    return render("gpu_table.html.j2", gpus=[_box(gpu) for gpu in gpus])


def _box(gpu: GpuReading) -> _Box:
    used, free, xid = gpu.get("used"), gpu.get("free"), gpu.get("xid")
    total = None if used is None or free is None else used + free
    memory_known = used is not None and bool(total)
    numbers = [_unit(gpu.get("temperature"), "°C"), _unit(gpu.get("power"), "W"), _unit(gpu.get("clock"), "MHz")]
    return _Box(
        title=f"{gpu.node} · GPU {gpu.index}",
        state=gpu.state,
        calm=gpu.state in NORMAL_STATES,
        busy=_unit(gpu.get("busy"), "%"),
        busy_percent=_percent(gpu.get("busy")),
        memory=f"{(used or 0) / 1024:.1f} of {(total or 0) / 1024:.0f} GiB" if memory_known else "–",
        memory_percent=_percent(100 * (used or 0) / total if total else None),
        numbers=" · ".join([*numbers, f"XID {xid:g}" if xid else "XID –"]),
        pod=gpu.pod or "no pod",
    )


def _unit(value: float | None, unit: str) -> str:
    return f"– {unit}" if value is None else f"{value:.0f} {unit}"


def _percent(value: float | None) -> int:
    return 0 if value is None else round(min(100.0, max(0.0, value)))
