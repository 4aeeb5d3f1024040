"""The tables of ``nvidia-smi``, after its look: all cards, and with ``-L`` one line a card."""

from __future__ import annotations

from typing import Any

MIB = 1 << 20
RULE = "+" + "-" * 37 + "+" + "-" * 22 + "+" + "-" * 17 + "+"
HEAD = RULE.replace("-", "=")


def table(gpus: list[dict[str, Any]]) -> str:
    """The cards, as ``GET /v1/gpus`` shows them, as a table; a lost one has ERR! in place of what cannot be read."""
    lines = [
        RULE,
        _line("GPU  Name", "Bus-Id", "Utilization"),
        _line("Temp  Clock     Power: Draw / Limit", "Memory: Used / Total", "Clock events"),
        HEAD,
    ]
    for gpu in gpus:
        lines += [*_card(gpu), RULE]
    return "\n".join(lines if gpus else [*lines[:-1], RULE, "No devices were found"])


def _line(*cells: str) -> str:
    widths = (35, 20, 15)
    return "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(cells, widths, strict=True)) + "|"


def _card(gpu: dict[str, Any]) -> list[str]:
    first = f"{gpu['index']:>3}  {gpu['model']}"
    if gpu["blind"]:
        return [_line(first, gpu["pci_bus_id"], "ERR!"), _line("ERR!  ERR!      ERR! / ERR!", "ERR! / ERR!", f"XID {gpu['xid']}")]
    power = f"{gpu['power_w']:.0f}W / {gpu['power_limit_w']:.0f}W"
    memory = f"{gpu['memory_used_bytes'] // MIB}MiB / {gpu['memory_total_bytes'] // MIB}MiB"
    return [
        _line(first, gpu["pci_bus_id"], f"{gpu['utilization_percent']}%"),
        _line(f"{gpu['temperature_c']:.0f}C   {gpu['sm_clock_mhz']}MHz   {power:>18}", memory, gpu["clock_events"]),
    ]


def listing(gpus: list[dict[str, Any]]) -> str:
    """``nvidia-smi -L``: cards, and below each its MIG instances."""
    lines = []
    for gpu in gpus:
        lines.append(f"GPU {gpu['index']}: {gpu['model']} (UUID: {gpu['uuid']})")
        for number, part in enumerate(gpu["parts"]):
            lines.append(f"  MIG {part['profile']:<12} Device {number:>2}: (UUID: {part['uuid']})")
    return "\n".join(lines) or "No devices found."
