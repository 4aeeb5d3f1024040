"""``nvidia-smi -q`` and ``-q -x``: one tree of readings, as text or as XML with nvidia-smi's element names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from labs.pods.gpu_simulator.smi_query import FIELDS, REASONS, Card, cell

MIB = 1 << 20
HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n'
Tree = dict[str, Any]
"""Element name to text, to another tree, or to a list of trees, one an element of that name."""


def _tree(card: Card) -> Tree:
    def shown(name: str) -> str:
        return cell(card, FIELDS[name]).strip("[]")

    errors = card["errors"]
    return {
        "product_name": card["model"],
        "uuid": card["uuid"],
        "mig_mode": {"current_mig": shown("mig.mode.current")},
        "mig_devices": {"mig_device": [_instance(number, part) for number, part in enumerate(card["parts"])]},
        "pci": {"pci_bus_id": card["pci_bus_id"]},
        "performance_state": shown("pstate"),
        "clocks_event_reasons": {f"clocks_event_reason_{name}": shown(f"clocks_event_reasons.{name}") for name in REASONS},
        "fb_memory_usage": {name: shown(f"memory.{name}") for name in ("total", "reserved", "used", "free")},
        "utilization": {"gpu_util": shown("utilization.gpu"), "memory_util": shown("utilization.memory")},
        "ecc_errors": {"volatile": {"dram_uncorrectable": str(errors["dbe"])},
                       "aggregate": {"dram_uncorrectable": str(errors["dbe_aggregate"])}},
        "remapped_rows": {"remapped_row_unc": str(errors["rows_uncorrectable"]),
                          "remapped_row_pending": "Yes" if errors["remap_pending"] else "No",
                          "remapped_row_failure": "Yes" if errors["remap_failure"] else "No"},
        "temperature": {"gpu_temp": f"{shown('temperature.gpu')} C", "gpu_temp_slow_threshold": f"{card['slowdown_c']:.0f} C",
                        "gpu_temp_max_threshold": f"{card['shutdown_c']:.0f} C", "memory_temp": shown("temperature.memory")},
        "gpu_power_readings": {"average_power_draw": shown("power.draw"), "current_power_limit": shown("power.limit"),
                               "default_power_limit": shown("power.default_limit"),
                               "min_power_limit": shown("power.min_limit"), "max_power_limit": shown("power.max_limit")},
        "clocks": {"sm_clock": shown("clocks.sm"), "mem_clock": shown("clocks.mem")},
        "max_clocks": {"sm_clock": shown("clocks.max.sm")},
        "processes": {"process_info": [_process(row) for row in card["processes"]]},
    }  # fmt: skip


def _instance(number: int, part: Mapping[str, Any]) -> Tree:
    memory = {"total": f"{part['memory_total_bytes'] // MIB} MiB", "used": f"{part['memory_used_bytes'] // MIB} MiB"}
    return {"index": str(number), "gpu_instance_id": str(part["id"]), "uuid": part["uuid"], "fb_memory_usage": memory}


def _process(row: Mapping[str, Any]) -> Tree:
    # Which process of the pod it is, nobody tells the simulator.
    return {"pid": "N/A", "process_name": row["pod"], "used_memory": f"{row['memory_bytes'] // MIB} MiB"}


def xml(cards: Sequence[Card]) -> str:
    """``nvidia-smi -q -x``."""
    root = ElementTree.Element("nvidia_smi_log")
    for card in cards[:1]:
        ElementTree.SubElement(root, "driver_version").text = card["driver"]
    ElementTree.SubElement(root, "attached_gpus").text = str(len(cards))
    for card in cards:
        _fill(ElementTree.SubElement(root, "gpu", id=card["pci_bus_id"]), _tree(card))
    ElementTree.indent(root, "\t")
    return HEAD + ElementTree.tostring(root, "unicode")


def _fill(element: ElementTree.Element, tree: Tree) -> None:
    for name, value in tree.items():
        for child in value if isinstance(value, list) else [value]:
            below = ElementTree.SubElement(element, name)
            if isinstance(child, dict):
                _fill(below, child)
            else:
                below.text = str(child)


def text(cards: Sequence[Card]) -> str:
    """``nvidia-smi -q``: the same tree with words for the element names."""
    lines = ["==============NVSMI LOG==============", "", f"{'Attached GPUs':<42}: {len(cards)}"]
    for card in cards:
        lines += [f"GPU {card['pci_bus_id']}", *_lines(_tree(card), 4)]
    return "\n".join(lines)


def _lines(tree: Tree, indent: int) -> list[str]:
    found = []
    for name, value in tree.items():
        title = " " * indent + name.replace("_", " ").title()
        for child in value if isinstance(value, list) else [value]:
            found += [title, *_lines(child, indent + 4)] if isinstance(child, dict) else [f"{title:<42}: {child}"]
    return found
