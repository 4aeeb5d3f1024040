"""The DCGM fields of a simulated GPU: dcgm-exporter's default set, its profiling fields, and the health counters it can add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labs.pods.gpu_simulator.device import Gpu, Reading
from labs.pods.gpu_simulator.part import Part
from labs.pods.gpu_simulator.physics import Activity

MIB = 1 << 20
TOKEN_BYTES = 4
"""A token crosses the bus as one 32-bit number in each direction."""


@dataclass(frozen=True)
class View:
    """What one series is about: a GPU, the part of it, and what both show."""

    gpu: Gpu
    part: Part
    reading: Reading
    activity: Activity
    blind: bool


@dataclass(frozen=True)
class Field:
    """One DCGM field: how to read it, or None where a GPU does not have it.

    ``whole`` fields have no value on a MIG instance; ``log`` fields come from the driver's log and outlive the GPU's sensors.
    """

    name: str
    kind: str
    help: str
    value: Callable[[View], float | None]
    whole: bool = False
    log: bool = False


def gauge(name: str, text: str, value: Callable[[View], float | None], *, whole: bool = False, log: bool = False) -> Field:
    return Field(f"DCGM_FI_{name}", "gauge", text, value, whole, log)


def counter(name: str, text: str, value: Callable[[View], float | None]) -> Field:
    return Field(f"DCGM_FI_{name}", "counter", text, value)


def _memory_temperature(view: View) -> float | None:
    found = view.reading.memory_temperature_c
    return None if found is None else round(found)


def _nvlink(view: View) -> float | None:
    return view.gpu.errors.nvlink_errors if view.gpu.profile.nvlinks else None


FIELDS = (
    gauge("DEV_SM_CLOCK", "Clock of the multiprocessors in MHz.", lambda v: v.reading.sm_clock_mhz),
    gauge("DEV_MEM_CLOCK", "Clock of the memory in MHz.", lambda v: v.gpu.profile.memory_clock_mhz),
    gauge("DEV_MEMORY_TEMP", "Temperature of the memory in degrees Celsius.", _memory_temperature),
    gauge("DEV_GPU_TEMP", "Temperature of the chip in degrees Celsius.", lambda v: round(v.reading.temperature_c)),
    gauge("DEV_POWER_USAGE", "Power drawn in watts.", lambda v: round(v.reading.power_w, 3)),
    counter(
        "DEV_TOTAL_ENERGY_CONSUMPTION", "Energy used since the start in millijoules.", lambda v: int(v.reading.energy_j * 1e3)
    ),
    counter("DEV_PCIE_REPLAY_COUNTER", "Retries on the PCIe bus.", lambda v: 0),
    gauge(
        "DEV_GPU_UTIL", "Share of time in which any kernel ran, in percent.", lambda v: round(100 * v.activity.busy), whole=True
    ),
    gauge(
        "DEV_MEM_COPY_UTIL",
        "Share of time in which memory was read or written, in percent.",
        lambda v: round(100 * v.activity.dram),
        whole=True,
    ),
    gauge("DEV_ENC_UTIL", "Use of the video encoder in percent.", lambda v: 0, whole=True),
    gauge("DEV_DEC_UTIL", "Use of the video decoder in percent.", lambda v: 0, whole=True),
    gauge("DEV_XID_ERRORS", "Number of the last XID error, 0 if there was none.", lambda v: v.gpu.xid, log=True),
    gauge("DEV_CLOCKS_EVENT_REASONS", "Why clocks are below the top, as a sum of bits.", lambda v: int(v.reading.events)),
    counter(
        "DEV_POWER_VIOLATION",
        "Time in which the power limit held the clocks down, in nanoseconds.",
        lambda v: int(v.reading.power_violation_s * 1e9),
    ),
    counter(
        "DEV_THERMAL_VIOLATION",
        "Time in which heat held the clocks down, in nanoseconds.",
        lambda v: int(v.reading.thermal_violation_s * 1e9),
    ),
    gauge("DEV_FB_FREE", "Free memory in MiB.", lambda v: v.part.memory_free_bytes // MIB),
    gauge("DEV_FB_USED", "Used memory in MiB.", lambda v: v.part.memory_used_bytes // MIB),
    gauge("DEV_FB_RESERVED", "Memory reserved by the driver, in MiB.", lambda v: v.part.profile.reserved_bytes // MIB),
    counter("DEV_ECC_SBE_VOL_TOTAL", "Single-bit errors since the last reset.", lambda v: 0),
    counter("DEV_ECC_DBE_VOL_TOTAL", "Double-bit errors since the last reset.", lambda v: v.gpu.errors.dbe),
    counter("DEV_ECC_SBE_AGG_TOTAL", "Single-bit errors over the GPU's lifetime.", lambda v: 0),
    counter("DEV_ECC_DBE_AGG_TOTAL", "Double-bit errors over the GPU's lifetime.", lambda v: v.gpu.errors.dbe_aggregate),
    counter("DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "NVLink errors that needed a recovery.", _nvlink),
    counter("DEV_NVLINK_BANDWIDTH_TOTAL", "NVLink traffic over all lanes.", lambda v: 0 if v.gpu.profile.nvlinks else None),
    gauge("DEV_VGPU_LICENSE_STATUS", "1 if a vGPU license is in use.", lambda v: 0),
    counter(
        "DEV_UNCORRECTABLE_REMAPPED_ROWS", "Rows remapped after uncorrectable errors.", lambda v: v.gpu.errors.rows_uncorrectable
    ),
    counter("DEV_CORRECTABLE_REMAPPED_ROWS", "Rows remapped after correctable errors.", lambda v: 0),
    gauge("DEV_ROW_REMAP_PENDING", "1 if a row waits for a reset to be remapped.", lambda v: min(1, v.gpu.errors.remap_pending)),
    gauge("DEV_ROW_REMAP_FAILURE", "1 if a row could not be remapped.", lambda v: min(1, v.gpu.errors.remap_failure)),
    gauge(
        "PROF_GR_ENGINE_ACTIVE",
        "Share of time in which the compute engine was active, 0 to 1.",
        lambda v: round(v.activity.busy, 6),
    ),
    gauge(
        "PROF_PIPE_TENSOR_ACTIVE",
        "Share of cycles in which the tensor cores were active, 0 to 1.",
        lambda v: round(v.activity.tensor, 6),
    ),
    gauge(
        "PROF_DRAM_ACTIVE",
        "Share of cycles in which the memory interface was active, 0 to 1.",
        lambda v: round(v.activity.dram, 6),
    ),
    gauge(
        "PROF_PCIE_TX_BYTES", "Bytes a second sent over the PCIe bus.", lambda v: round(v.part.tokens_per_second * TOKEN_BYTES)
    ),
    gauge(
        "PROF_PCIE_RX_BYTES",
        "Bytes a second received over the PCIe bus.",
        lambda v: round(v.part.tokens_per_second * TOKEN_BYTES + v.part.loading_bytes_per_second),
    ),
)
