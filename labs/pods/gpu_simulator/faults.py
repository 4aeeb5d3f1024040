"""Faults a simulated GPU can have. Each is data: the device model, the plugin and the exporter know what its fields mean.

What each layer shows, and the sources: docs/gpu-model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class UnknownFault(LookupError):
    """No fault has this name; the message lists those that exist."""

    def __str__(self) -> str:
        return str(self.args[0])


class Programs(Enum):
    """What happens to a program on the GPU."""

    UNHARMED = "nothing"
    KILLED = "existing contexts die; new ones work"
    REFUSED = "every use fails while it lasts"
    NEW_REFUSED = "existing contexts keep working; new ones fail"
    HUNG = "kernels never finish"


@dataclass(frozen=True)
class Fault:
    """``xid`` is the error the driver logs (0: none).

    ``error`` is CUDA's text for the programs it hits, ``errors`` what it adds to the GPU's counters. ``node``: it affects
    all GPUs of the node; ``lasting``: it is in the GPU, the driver or the room, so it outlives the simulator process.
    """

    name: str
    summary: str
    xid: int = 0
    programs: Programs = Programs.UNHARMED
    error: str = ""
    errors: Mapping[str, int] = field(default_factory=dict)
    off_the_bus: bool = False
    blind: bool = False
    """The GPU's sensors cannot be read."""
    cooling_lost: bool = False
    power_capped: bool = False
    power_brake: bool = False
    leaks: bool = False
    plugin_down: bool = False
    driver_mismatch: bool = False
    allocate_fails: bool = False
    node: bool = False
    lasting: bool = True


ECC = "CUDA error: uncorrectable ECC error encountered"
ROW = {"dbe": 1, "rows_uncorrectable": 1}

FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "overheat", "cooling lost: the GPU heats up past its slowdown temperature and lowers its clocks", cooling_lost=True
        ),
        Fault("power-cap", "power limit lowered to the GPU's minimum: clocks fall under load", power_capped=True),
        Fault("power-brake", "the power supply's brake signal: the hardware cuts the clocks at once", power_brake=True),
        Fault(
            "xid13",
            "graphics engine exception, an application's error",
            13,
            Programs.KILLED,
            "CUDA error: an illegal instruction was encountered",
            lasting=False,
        ),
        Fault(
            "xid31",
            "memory page fault, an application's error",
            31,
            Programs.KILLED,
            "CUDA error: an illegal memory access was encountered",
            lasting=False,
        ),
        Fault(
            "xid43",
            "the driver stopped an application's channel",
            43,
            Programs.KILLED,
            "CUDA error: unspecified launch failure",
            lasting=False,
        ),
        Fault("xid48", "uncorrectable (double-bit) ECC error", 48, Programs.KILLED, ECC, {"dbe": 1, "remap_pending": 1}),
        Fault("xid63", "a memory row is remapped at the next reset", 63, errors={"rows_uncorrectable": 1, "remap_pending": 1}),
        Fault("xid64", "a memory row could not be remapped: replace the GPU", 64, errors={"dbe": 1, "remap_failure": 1}),
        Fault("xid74", "NVLink error", 74, errors={"nvlink_errors": 1}),
        Fault(
            "xid79",
            "fallen off the bus: every use of the GPU fails, its metrics vanish, it turns Unhealthy",
            79,
            Programs.REFUSED,
            "CUDA error: unknown error: the GPU is lost",
            off_the_bus=True,
            blind=True,
        ),
        Fault("xid94", "contained ECC error: the application that hits it dies, others go on", 94, Programs.KILLED, ECC, ROW),
        Fault("xid95", "uncontained ECC error: nothing works until the GPU is reset", 95, Programs.REFUSED, ECC, ROW),
        Fault(
            "xid119",
            "the GPU's own processor (GSP) does not answer: calls fail and sensors cannot be read",
            119,
            Programs.REFUSED,
            "CUDA error: unknown error: GSP RPC timeout",
            blind=True,
        ),
        Fault("memory-leak", "a process outside Kubernetes takes more and more of the GPU's memory", leaks=True),
        Fault(
            "hang", "a kernel that never ends: full utilisation at nearly idle power, no tokens, no error", programs=Programs.HUNG
        ),
        Fault(
            "driver-mismatch",
            "library and driver versions differ: no new program and no monitor can use the node's GPUs",
            programs=Programs.NEW_REFUSED,
            error="CUDA error: system has unsupported display driver / cuda driver combination",
            driver_mismatch=True,
            plugin_down=True,
            node=True,
        ),
        Fault("plugin-crash", "the device plugin is gone; the GPUs work", plugin_down=True, node=True, lasting=False),
        Fault("allocate-error", "the device plugin refuses each Allocate", allocate_fails=True, node=True, lasting=False),
    )
}


def fault_of(name: str) -> Fault:
    """The fault called ``name``.

    Raises:
        UnknownFault: no fault has that name.
    """
    if name not in FAULTS:
        raise UnknownFault(f"no fault named {name!r}; there are: {', '.join(FAULTS)}")
    return FAULTS[name]
