"""The fields of ``nvidia-smi --query-gpu`` and ``--query-compute-apps`` over the simulator's readings.

The names, and which of two is the first, are those of ``--help-query-gpu`` and ``--help-query-compute-apps``, driver 550.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from labs.pods.gpu_simulator.physics import ClockEvent
from labs.pods.gpu_simulator.smi_csv import MIB, NOT_AVAILABLE, Field, GpuReadings, Table


def _active(bit: ClockEvent, name: str) -> Field:
    return Field(lambda gpu: "Active" if events(gpu) & bit else "Not Active", aliases=(f"clocks_throttle_reasons.{name}",))


def events(gpu: GpuReadings) -> int:
    """The bits of the clock events in force."""
    return int(gpu["clock_events"], 16)


def _mib(name: str) -> Field:
    return Field(lambda gpu: gpu[name] // MIB, "MiB")


def _watts(name: str, *aliases: str) -> Field:
    return Field(lambda gpu: f"{gpu[name]:.2f}", "W", aliases=aliases)


def _unless_divided(name: str) -> Field:
    return Field(lambda gpu: NOT_AVAILABLE if gpu["parts"] else gpu[name], "%")


def _memory_temperature(gpu: GpuReadings) -> object:
    found = gpu["memory_temperature_c"]
    return NOT_AVAILABLE if found is None else round(found)


def _fixed(value: str, *aliases: str) -> Field:
    return Field(lambda _: value, aliases=aliases)


def _now(_: GpuReadings) -> str:
    seconds = time.time()
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds)) + f".{int(seconds % 1 * 1000):03d}"


REASONS = {
    "gpu_idle": ClockEvent.GPU_IDLE,
    "sw_power_cap": ClockEvent.SW_POWER_CAP,
    "hw_slowdown": ClockEvent.HW_SLOWDOWN,
    "hw_thermal_slowdown": ClockEvent.HW_THERMAL,
    "hw_power_brake_slowdown": ClockEvent.HW_POWER_BRAKE,
    "sw_thermal_slowdown": ClockEvent.SW_THERMAL,
}

IDENTITY: dict[str, Field] = {
    "timestamp": Field(_now, log=True),
    "driver_version": Field(lambda gpu: gpu["driver"], log=True),
    "count": Field(lambda gpu: gpu["count"], log=True),
    "name": Field(lambda gpu: gpu["model"], log=True, aliases=("gpu_name",)),
    "serial": _fixed(NOT_AVAILABLE, "gpu_serial"),
    "uuid": Field(lambda gpu: gpu["uuid"], log=True, aliases=("gpu_uuid",)),
    "pci.bus_id": Field(lambda gpu: gpu["pci_bus_id"], log=True, aliases=("gpu_bus_id",)),
    "index": Field(lambda gpu: gpu["index"], log=True),
    "compute_cap": Field(lambda gpu: gpu["compute_capability"], log=True),
    "persistence_mode": _fixed("Enabled"),
    "compute_mode": _fixed("Default"),
    "mig.mode.current": Field(lambda gpu: "Enabled" if gpu["parts"] else "Disabled"),
}
STATE: dict[str, Field] = {
    "fan.speed": Field(lambda _: NOT_AVAILABLE, "%"),
    "pstate": Field(lambda gpu: "P8" if events(gpu) & ClockEvent.GPU_IDLE else "P0"),
    "clocks_event_reasons.active": Field(lambda gpu: f"0x{events(gpu):016X}", aliases=("clocks_throttle_reasons.active",)),
    **{f"clocks_event_reasons.{name}": _active(bit, name) for name, bit in REASONS.items()},
    "memory.total": _mib("memory_total_bytes"),
    "memory.reserved": _mib("memory_reserved_bytes"),
    "memory.used": _mib("memory_used_bytes"),
    "memory.free": _mib("memory_free_bytes"),
    "utilization.gpu": _unless_divided("utilization_percent"),
    "utilization.memory": _unless_divided("memory_utilization_percent"),
    "ecc.errors.uncorrected.volatile.total": Field(lambda gpu: gpu["errors"]["dbe"]),
    "ecc.errors.uncorrected.aggregate.total": Field(lambda gpu: gpu["errors"]["dbe_aggregate"]),
    "temperature.gpu": Field(lambda gpu: round(gpu["temperature_c"])),
    "temperature.memory": Field(_memory_temperature),
    "power.draw": _watts("power_w", "power.draw.average"),
    "power.limit": _watts("power_limit_w"),
    "enforced.power.limit": _watts("power_limit_w"),
    "power.default_limit": _watts("power_default_limit_w"),
    "power.min_limit": _watts("power_min_limit_w"),
    "power.max_limit": _watts("power_default_limit_w"),
    "clocks.current.graphics": Field(lambda gpu: gpu["sm_clock_mhz"], "MHz", aliases=("clocks.gr",)),
    "clocks.current.sm": Field(lambda gpu: gpu["sm_clock_mhz"], "MHz", aliases=("clocks.sm",)),
    "clocks.current.memory": Field(lambda gpu: gpu["memory_clock_mhz"], "MHz", aliases=("clocks.mem",)),
    "clocks.max.graphics": Field(lambda gpu: gpu["sm_clock_max_mhz"], "MHz", aliases=("clocks.max.gr",)),
    "clocks.max.sm": Field(lambda gpu: gpu["sm_clock_max_mhz"], "MHz"),
    "clocks.max.memory": Field(lambda gpu: gpu["memory_clock_mhz"], "MHz", aliases=("clocks.max.mem",)),
}
GPUS = Table(
    "query-gpu",
    IDENTITY | STATE,
    groups=(
        *("vgpu_", "pci.", "pcie.", "display_", "addressing_mode", "accounting.", "driver_model.", "vbios_version", "inforom."),
        *("reset_status.", "gom.", "gpu_operation_mode.", "clocks_event_reasons", "clocks_throttle_reasons", "utilization."),
        *("encoder.", "ecc.", "retired_pages.", "temperature.", "power.", "module.power", "clocks.", "mig.mode.", "gsp.", "c2c."),
        *("protected_memory.", "fabric.", "platform.", "gpu_recovery_action", "hostname", "dramEncryption", "board_id"),
    ),
)

_KEPT = {"gpu_name": "name", "gpu_bus_id": "pci.bus_id", "gpu_serial": "serial", "gpu_uuid": "uuid"}
PROCESSES = Table(
    "query-compute-apps",
    {
        "timestamp": IDENTITY["timestamp"],
        **{name: Field(IDENTITY[first].value, log=True) for name, first in _KEPT.items()},
        "pid": Field(lambda row: row["pid"] or NOT_AVAILABLE),
        "process_name": Field(lambda row: row["pod"], aliases=("name",)),
        "used_gpu_memory": Field(lambda row: row["memory_bytes"] // MIB, "MiB", aliases=("used_memory",)),
    },
)


def processes(gpus: Sequence[GpuReadings]) -> list[dict[str, Any]]:
    """A row for each process: its own readings and those of its GPU. A GPU whose sensors are gone reports none."""
    return [{**gpu, **row} for gpu in gpus if not gpu["blind"] for row in gpu["processes"]]
