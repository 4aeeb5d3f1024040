"""``nvidia-smi --query-gpu=… --format=csv``: nvidia-smi's field names over the simulator's readings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labs.pods.gpu_simulator.physics import ClockEvent

MIB = 1 << 20
Card = Mapping[str, Any]


class UnknownField(ValueError):
    """A field that nvidia-smi, or this one, does not know; the message is nvidia-smi's."""


@dataclass(frozen=True)
class Field:
    """How a field is read and its unit; ``log`` fields can be read of a card whose sensors cannot."""

    value: Callable[[Card], object]
    unit: str = ""
    log: bool = False


def _active(bit: ClockEvent) -> Field:
    return Field(lambda card: "Active" if int(card["clock_events"], 16) & bit else "Not Active")


def _mib(name: str) -> Field:
    return Field(lambda card: card[name] // MIB, "MiB")


def _memory_temperature(card: Card) -> object:
    found = card["memory_temperature_c"]
    return "N/A" if found is None else round(found)


UUID = Field(lambda card: card["uuid"], log=True)
NAME = Field(lambda card: card["model"], log=True)
BUS = Field(lambda card: card["pci_bus_id"], log=True)
SM_CLOCK = Field(lambda card: card["sm_clock_mhz"], "MHz")
MEMORY_CLOCK = Field(lambda card: card["memory_clock_mhz"], "MHz")
EVENTS = Field(lambda card: f"0x{int(card['clock_events'], 16):016X}")
REASONS = {
    "gpu_idle": ClockEvent.GPU_IDLE, "sw_power_cap": ClockEvent.SW_POWER_CAP, "hw_slowdown": ClockEvent.HW_SLOWDOWN,
    "hw_thermal_slowdown": ClockEvent.HW_THERMAL, "hw_power_brake_slowdown": ClockEvent.HW_POWER_BRAKE,
    "sw_thermal_slowdown": ClockEvent.SW_THERMAL,
}  # fmt: skip

FIELDS: dict[str, Field] = {
    "timestamp": Field(lambda card: time.strftime("%Y/%m/%d %H:%M:%S.000"), log=True),
    "index": Field(lambda card: card["index"], log=True),
    "name": NAME, "gpu_name": NAME, "uuid": UUID, "gpu_uuid": UUID, "pci.bus_id": BUS, "gpu_bus_id": BUS,
    "driver_version": Field(lambda card: card["driver"], log=True),
    "compute_cap": Field(lambda card: card["compute_capability"], log=True),
    "mig.mode.current": Field(lambda card: "Enabled" if card["parts"] else "Disabled"),
    "pstate": Field(lambda card: "P8" if int(card["clock_events"], 16) & ClockEvent.GPU_IDLE else "P0"),
    "temperature.gpu": Field(lambda card: round(card["temperature_c"])),
    "temperature.memory": Field(_memory_temperature),
    "utilization.gpu": Field(lambda card: "N/A" if card["parts"] else card["utilization_percent"], "%"),
    "utilization.memory": Field(lambda card: "N/A" if card["parts"] else card["memory_utilization_percent"], "%"),
    "memory.total": _mib("memory_total_bytes"), "memory.used": _mib("memory_used_bytes"),
    "memory.free": _mib("memory_free_bytes"), "memory.reserved": _mib("memory_reserved_bytes"),
    "power.draw": Field(lambda card: f"{card['power_w']:.2f}", "W"),
    "power.limit": Field(lambda card: f"{card['power_limit_w']:.2f}", "W"),
    "power.default_limit": Field(lambda card: f"{card['power_default_limit_w']:.2f}", "W"),
    "power.max_limit": Field(lambda card: f"{card['power_default_limit_w']:.2f}", "W"),
    "power.min_limit": Field(lambda card: f"{card['power_min_limit_w']:.2f}", "W"),
    "clocks.sm": SM_CLOCK, "clocks.current.sm": SM_CLOCK, "clocks.gr": SM_CLOCK, "clocks.current.graphics": SM_CLOCK,
    "clocks.mem": MEMORY_CLOCK, "clocks.current.memory": MEMORY_CLOCK,
    "clocks.max.sm": Field(lambda card: card["sm_clock_max_mhz"], "MHz"),
    "ecc.errors.uncorrected.volatile.total": Field(lambda card: card["errors"]["dbe"]),
    "ecc.errors.uncorrected.aggregate.total": Field(lambda card: card["errors"]["dbe_aggregate"]),
    "clocks_event_reasons.active": EVENTS, "clocks_throttle_reasons.active": EVENTS,
    **{f"{prefix}.{name}": _active(bit) for prefix in ("clocks_event_reasons", "clocks_throttle_reasons")
       for name, bit in REASONS.items()},
}  # fmt: skip


def csv(cards: Sequence[Card], names: Sequence[str], form: Sequence[str]) -> str:
    """The table that ``--query-gpu`` prints; ``form`` are the words of ``--format``.

    Raises:
        UnknownField: one of ``names`` is not known.
    """
    names = [name.strip() for name in names]
    for name in names:
        if name not in FIELDS:
            raise UnknownField(f'Field "{name}" is not a valid field to query.')
    units = "nounits" not in form
    head = [f"{name} [{FIELDS[name].unit}]" if units and FIELDS[name].unit else name for name in names]
    rows = [[cell(card, FIELDS[name], units) for name in names] for card in cards]
    return "\n".join(", ".join(row) for row in ([] if "noheader" in form else [head]) + rows)


def cell(card: Card, field: Field, units: bool = True) -> str:
    """One value as nvidia-smi writes it: with its unit, in brackets where there is none to show."""
    if card["blind"] and not field.log:
        return "[GPU is lost]"
    value = field.value(card)
    if value == "N/A":
        return "[N/A]"
    return f"{value} {field.unit}" if units and field.unit else str(value)
