"""``nvidia-smi -q`` and ``-q -x``: one tree of readings, as text with nvidia-smi's titles or as XML with its element names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from xml.etree import ElementTree

from labs.pods.gpu_simulator.smi_csv import MIB, NOT_AVAILABLE, GpuReadings, cell
from labs.pods.gpu_simulator.smi_errors import HELP, NotSimulated, WrongUsage
from labs.pods.gpu_simulator.smi_query import GPUS, REASONS

XML_HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n'
TITLE_WIDTH = 42
SECTIONS: dict[str, tuple[str, ...]] = {
    "MEMORY": ("fb_memory_usage",),
    "UTILIZATION": ("utilization",),
    "ECC": ("ecc_errors",),
    "TEMPERATURE": ("temperature",),
    "POWER": ("gpu_power_readings",),
    "CLOCK": ("clocks", "max_clocks"),
    "COMPUTE": ("compute_mode",),
    "PIDS": ("processes",),
    "PERFORMANCE": ("performance_state", "clocks_event_reasons"),
    "ROW_REMAPPER": ("remapped_rows",),
}
"""What ``-d`` can ask for, and the elements that belong to it."""
_OTHER_SECTIONS = """
SUPPORTED_CLOCKS PAGE_RETIREMENT ACCOUNTING ENCODER_STATS SUPPORTED_GPU_TARGET_TEMP VOLTAGE FBC_STATS RESET_STATUS
GSP_FIRMWARE_VERSION POWER_SMOOTHING POWER_PROFILES
"""
OTHER_SECTIONS = frozenset(_OTHER_SECTIONS.split())


@dataclass(frozen=True)
class Node:
    """An element: its name in XML, its title in the text, and a value or elements below it."""

    element: str
    title: str
    content: str | Sequence[Node]


Nodes: TypeAlias = Sequence[Node]


def _shown(gpu: GpuReadings, name: str) -> str:
    return cell(gpu, GPUS.fields[GPUS.resolve(name)]).strip("[]")


def _values(gpu: GpuReadings, *rows: tuple[str, str, str]) -> list[Node]:
    """Nodes of ``--query-gpu`` fields: element, title, field."""
    return [Node(element, title, _shown(gpu, field)) for element, title, field in rows]


def _tree(gpu: GpuReadings) -> Nodes:
    return [
        Node("product_name", "Product Name", gpu["model"]),
        *_values(gpu, ("persistence_mode", "Persistence Mode", "persistence_mode")),
        Node("mig_mode", "MIG Mode", _values(gpu, ("current_mig", "Current", "mig.mode.current"))),
        Node("mig_devices", "MIG Devices", [_instance(number, part) for number, part in enumerate(gpu["parts"])]),
        Node("uuid", "GPU UUID", gpu["uuid"]),
        Node("pci", "PCI", [Node("pci_bus_id", "Bus Id", gpu["pci_bus_id"])]),
        *_values(gpu, ("performance_state", "Performance State", "pstate")),
        Node("clocks_event_reasons", "Clocks Event Reasons", _reasons(gpu)),
        Node("fb_memory_usage", "FB Memory Usage", _memory(gpu)),
        *_values(gpu, ("compute_mode", "Compute Mode", "compute_mode")),
        Node("utilization", "Utilization", _values(gpu, *UTILIZATION)),
        Node("ecc_errors", "ECC Errors", _ecc(gpu)),
        Node("remapped_rows", "Remapped Rows", _remapped(gpu["errors"])),
        Node("temperature", "Temperature", _temperature(gpu)),
        Node("gpu_power_readings", "GPU Power Readings", _power(gpu)),
        Node("clocks", "Clocks", _clocks(gpu, "current")),
        Node("max_clocks", "Max Clocks", _clocks(gpu, "max")),
        Node("processes", "Processes", [_process(row) for row in gpu["processes"]]),
    ]


UTILIZATION = (("gpu_util", "GPU", "utilization.gpu"), ("memory_util", "Memory", "utilization.memory"))
REASON_TITLES = {
    "gpu_idle": "Idle",
    "sw_power_cap": "SW Power Cap",
    "hw_slowdown": "HW Slowdown",
    "hw_thermal_slowdown": "HW Thermal Slowdown",
    "hw_power_brake_slowdown": "HW Power Brake Slowdown",
    "sw_thermal_slowdown": "SW Thermal Slowdown",
}


def _reasons(gpu: GpuReadings) -> Nodes:
    return [
        Node(f"clocks_event_reason_{name}", REASON_TITLES[name], _shown(gpu, f"clocks_event_reasons.{name}")) for name in REASONS
    ]


def _memory(gpu: GpuReadings) -> Nodes:
    return [Node(name, name.title(), _shown(gpu, f"memory.{name}")) for name in ("total", "reserved", "used", "free")]


def _ecc(gpu: GpuReadings) -> Nodes:
    return [
        Node(scope, scope.title(), [Node("dram_uncorrectable", "DRAM Uncorrectable", str(gpu["errors"][count]))])
        for scope, count in (("volatile", "dbe"), ("aggregate", "dbe_aggregate"))
    ]


def _remapped(errors: Mapping[str, int]) -> Nodes:
    return [
        Node("remapped_row_unc", "Uncorrectable Error", str(errors["rows_uncorrectable"])),
        Node("remapped_row_pending", "Pending", "Yes" if errors["remap_pending"] else "No"),
        Node("remapped_row_failure", "Remapping Failure Occurred", "Yes" if errors["remap_failure"] else "No"),
    ]


def _temperature(gpu: GpuReadings) -> Nodes:
    def celsius(field: str) -> str:
        value = _shown(gpu, field)
        return f"{value} C" if value.isdigit() else value

    return [
        Node("gpu_temp", "GPU Current Temp", celsius("temperature.gpu")),
        Node("gpu_temp_max_threshold", "GPU Shutdown Temp", f"{gpu['shutdown_c']:.0f} C"),
        Node("gpu_temp_slow_threshold", "GPU Slowdown Temp", f"{gpu['slowdown_c']:.0f} C"),
        Node("memory_temp", "Memory Current Temp", celsius("temperature.memory")),
    ]


def _power(gpu: GpuReadings) -> Nodes:
    return _values(
        gpu,
        ("average_power_draw", "Average Power Draw", "power.draw"),
        ("current_power_limit", "Current Power Limit", "power.limit"),
        ("default_power_limit", "Default Power Limit", "power.default_limit"),
        ("min_power_limit", "Min Power Limit", "power.min_limit"),
        ("max_power_limit", "Max Power Limit", "power.max_limit"),
    )


def _clocks(gpu: GpuReadings, which: str) -> Nodes:
    names = (("graphics_clock", "Graphics", "graphics"), ("sm_clock", "SM", "sm"), ("mem_clock", "Memory", "memory"))
    return _values(gpu, *((element, title, f"clocks.{which}.{field}") for element, title, field in names))


def _instance(number: int, part: Mapping[str, Any]) -> Node:
    sizes = (("total", "Total", part["memory_total_bytes"]), ("used", "Used", part["memory_used_bytes"]))
    memory = [Node(element, title, f"{size // MIB} MiB") for element, title, size in sizes]
    below = [
        Node("index", "Index", str(number)),
        Node("gpu_instance_id", "GPU Instance ID", str(part["id"])),
        Node("uuid", "MIG UUID", part["uuid"]),
        Node("fb_memory_usage", "FB Memory Usage", memory),
    ]
    return Node("mig_device", "MIG Device", below)


def _process(row: Mapping[str, Any]) -> Node:
    below = [
        Node("pid", "Process ID", str(row["pid"] or NOT_AVAILABLE)),
        Node("type", "Type", "C"),
        Node("process_name", "Name", row["pod"]),
        Node("used_memory", "Used GPU Memory", f"{row['memory_bytes'] // MIB} MiB"),
    ]
    return Node("process_info", "Process", below)


def xml(gpus: Sequence[GpuReadings]) -> str:
    """``nvidia-smi -q -x``."""
    root = ElementTree.Element("nvidia_smi_log")
    for gpu in gpus[:1]:
        ElementTree.SubElement(root, "driver_version").text = gpu["driver"]
    ElementTree.SubElement(root, "attached_gpus").text = str(len(gpus))
    for gpu in gpus:
        _fill(ElementTree.SubElement(root, "gpu", id=gpu["pci_bus_id"]), _tree(gpu))
    ElementTree.indent(root, "\t")
    return XML_HEAD + ElementTree.tostring(root, "unicode")


def _fill(element: ElementTree.Element, nodes: Nodes) -> None:
    for node in nodes:
        below = ElementTree.SubElement(element, node.element)
        if isinstance(node.content, str):
            below.text = node.content
        else:
            _fill(below, node.content)


def text(gpus: Sequence[GpuReadings], sections: str | None = None) -> str:
    """``nvidia-smi -q``; with ``sections``, the words after ``-d``, only these.

    Raises:
        WrongUsage, NotSimulated: there is no such section.
    """
    wanted = None if sections is None else {name for section in sections.split(",") for name in _elements(section)}
    driver = gpus[0]["driver"] if gpus else NOT_AVAILABLE
    lines = ["", "==============NVSMI LOG==============", "", f"{'Driver Version':<{TITLE_WIDTH}}: {driver}", ""]
    lines += [f"{'Attached GPUs':<{TITLE_WIDTH}}: {len(gpus)}"]
    for gpu in gpus:
        nodes = [node for node in _tree(gpu) if wanted is None or node.element in wanted]
        lines += [f"GPU {gpu['pci_bus_id']}", *_lines(nodes, 4), ""]
    return "\n".join(lines)


def _elements(section: str) -> tuple[str, ...]:
    name = section.strip().upper()
    if name in OTHER_SECTIONS:
        raise NotSimulated(f"-d {name}")
    if name not in SECTIONS:
        raise WrongUsage(f"ERROR: expected -d to name some of {', '.join(SECTIONS)}; found {section}. {HELP}")
    return SECTIONS[name]


def _lines(nodes: Nodes, indent: int) -> Iterator[str]:
    for node in nodes:
        title = " " * indent + node.title
        if isinstance(node.content, str):
            yield f"{title:<{TITLE_WIDTH}}: {node.content}"
        elif node.content:
            yield title
            yield from _lines(node.content, indent + 4)
        else:
            yield f"{title:<{TITLE_WIDTH}}: None"


def version(gpus: Sequence[GpuReadings]) -> str:
    """``nvidia-smi --version``."""
    driver = gpus[0]["driver"] if gpus else NOT_AVAILABLE
    return f"NVIDIA-SMI version  : simulated\nDRIVER version      : {driver}"
