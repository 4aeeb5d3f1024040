"""``nvidia-smi dmon``: a line for each GPU and sample, in groups of columns that ``-s`` chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from labs.pods.gpu_simulator.smi_csv import MIB, GpuReadings
from labs.pods.gpu_simulator.smi_errors import HELP, WrongUsage

Column = tuple[str, str, Callable[[GpuReadings], object]]
"""Name, unit and value. What the simulator does not model is a dash, like what a GPU lacks."""
WIDTH = 7
REPEAT = 20
"""Samples after which the head is repeated."""


def _none(_: GpuReadings) -> str:
    return "-"


def _memory_temperature(gpu: GpuReadings) -> object:
    found = gpu["memory_temperature_c"]
    return "-" if found is None else round(found)


GROUPS: dict[str, tuple[Column, ...]] = {
    "p": (
        ("pwr", "W", lambda gpu: round(gpu["power_w"])),
        ("gtemp", "C", lambda gpu: round(gpu["temperature_c"])),
        ("mtemp", "C", _memory_temperature),
    ),
    "u": (
        ("sm", "%", lambda gpu: gpu["utilization_percent"]),
        ("mem", "%", lambda gpu: gpu["memory_utilization_percent"]),
        *((name, "%", _none) for name in ("enc", "dec", "jpg", "ofa")),
    ),
    "c": (("mclk", "MHz", lambda gpu: gpu["memory_clock_mhz"]), ("pclk", "MHz", lambda gpu: gpu["sm_clock_mhz"])),
    "v": (("pviol", "%", _none), ("tviol", "bool", _none)),
    "m": (("fb", "MB", lambda gpu: gpu["memory_used_bytes"] // MIB), ("bar1", "MB", _none), ("ccpm", "MB", _none)),
    "e": (("sbecc", "errs", _none), ("dbecc", "errs", lambda gpu: gpu["errors"]["dbe"]), ("pci", "errs", _none)),
    "t": (("rxpci", "MB/s", _none), ("txpci", "MB/s", _none)),
}
STAMPS = {"D": ("Date", "YYYYMMDD", "%Y%m%d", 11), "T": ("Time", "HH:MM:SS", "%H:%M:%S", 10)}
"""Of ``-o``: the two lines of the head, the format of the value, and the width."""


def columns(select: str) -> list[Column]:
    """The columns of the groups in ``select``.

    Raises:
        WrongUsage: a letter names no group.
    """
    unknown = [letter for letter in select if letter not in GROUPS]
    if unknown or not select:
        raise WrongUsage(f"ERROR: expected -s to be of the letters {''.join(GROUPS)}; found {select!r}. {HELP}")
    return [column for letter in select for column in GROUPS[letter]]


def head(select: str, stamps: str) -> str:
    """The two lines above the samples."""
    chosen = columns(select)
    names, units = [name for name, _, _ in chosen], [unit for _, unit, _ in chosen]
    return "\n".join([_head_line(stamps, 0, "gpu", names), _head_line(stamps, 1, "Idx", units)])


def _head_line(stamps: str, line: int, first: str, words: Sequence[str]) -> str:
    before = "".join(f"{STAMPS[letter][line]:<{STAMPS[letter][3]}}" for letter in stamps)
    return f"#{before}{first:>{5 if stamps else 4}}" + "".join(f"{word:>{WIDTH}}" for word in words)


def sample(gpus: Sequence[GpuReadings], select: str, stamps: str) -> str:
    """A line for each GPU."""
    before = " " * bool(stamps) + "".join(f"{time.strftime(STAMPS[s][2]):<{STAMPS[s][3]}}" for s in stamps)
    return "\n".join(f"{before}{gpu['index']:>5}" + "".join(_cells(gpu, columns(select))) for gpu in gpus)


def _cells(gpu: GpuReadings, chosen: Sequence[Column]) -> list[str]:
    return [f"{'-' if gpu['blind'] else value(gpu)!s:>{WIDTH}}" for _, _, value in chosen]
