"""A GPU as the work socket shows it: the source of what ``ctl`` and ``nvidia-smi`` print."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from labs.pods.gpu_simulator import exporter
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.part import GpuProcess, Part


def describe(gpu: Gpu) -> dict[str, Any]:
    """A GPU as ``GET /v1/gpus`` shows it. Units are in the names."""
    reading = gpu.read()
    usable = sum(part.usable_bytes for part in gpu.parts)
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "model": gpu.profile.model_name,
        "pci_bus_id": exporter.pci_bus_id(gpu),
        "driver": "mismatch" if gpu.has(lambda fault: fault.driver_mismatch) else exporter.DRIVER_VERSION,
        "state": gpu.state,
        "blind": gpu.blind,
        "faults": list(gpu.faults),
        "xid": gpu.xid,
        "errors": asdict(gpu.errors),
        "utilization_percent": round(100 * reading.activity.busy),
        "memory_utilization_percent": round(100 * reading.activity.dram),
        "memory_used_bytes": reading.memory_used_bytes,
        "memory_free_bytes": usable - reading.memory_used_bytes,
        "memory_reserved_bytes": gpu.profile.reserved_bytes,
        "memory_total_bytes": gpu.profile.memory_bytes,
        "power_w": round(reading.power_w, 1),
        "power_limit_w": reading.power_limit_w,
        "power_default_limit_w": gpu.profile.power_limit_w,
        "power_min_limit_w": gpu.profile.power_min_limit_w,
        "temperature_c": round(reading.temperature_c, 1),
        "memory_temperature_c": reading.memory_temperature_c and round(reading.memory_temperature_c, 1),
        "slowdown_c": gpu.profile.slowdown_c,
        "shutdown_c": gpu.profile.shutdown_c,
        "sm_clock_mhz": reading.sm_clock_mhz,
        "sm_clock_max_mhz": gpu.profile.sm_clock_max_mhz,
        "memory_clock_mhz": gpu.profile.memory_clock_mhz,
        "compute_capability": gpu.profile.compute_capability,
        "nvlinks": gpu.profile.nvlinks,
        "pace": round(gpu.pace, 3),
        "clock_events": hex(reading.events),
        "pods": gpu.pods,
        "processes": [_process(part, process) for part in gpu.parts for process in part.processes],
        "parts": [_part(part) for part in gpu.parts if part.instance],
    }


def _process(part: Part, process: GpuProcess) -> dict[str, Any]:
    return {"uuid": part.uuid, "pod": process.pod, "pid": process.pid, "memory_bytes": process.memory_bytes}


def _part(part: Part) -> dict[str, Any]:
    assert part.instance
    return {
        "uuid": part.uuid,
        "profile": part.instance.profile,
        "id": part.instance.id,
        "memory_used_bytes": part.memory_used_bytes,
        "memory_total_bytes": part.profile.memory_bytes,
        "utilization_percent": round(100 * part.mean.busy),
        "pods": part.pods,
    }
