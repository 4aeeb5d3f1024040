"""The tables of ``nvidia-smi``, laid out as in driver 550: GPUs and processes, and with ``-L`` a line for each GPU."""

from __future__ import annotations

from collections.abc import Sequence

from labs.pods.gpu_simulator.smi_csv import MIB, NOT_AVAILABLE, GpuReadings
from labs.pods.gpu_simulator.smi_query import GPUS, processes

WIDTHS = (41, 24, 22)
WHOLE = sum(WIDTHS) + len(WIDTHS) - 1


def table(gpus: Sequence[GpuReadings]) -> str:
    """The GPUs and their processes; one whose sensors are gone shows ERR! in place of what cannot be read."""
    if not gpus:
        return "No devices were found"
    driver = f"Driver Version: {gpus[0]['driver']}"
    lines = [_edge("-"), _wide(f" {'NVIDIA-SMI simulated':<33}{driver:<33}CUDA Version: {NOT_AVAILABLE}"), _rule("-", "|", "+")]
    lines += [
        _row(" GPU  Name                 Persistence-M ", " Bus-Id          Disp.A ", " Volatile Uncorr. ECC "),
        _row(" Fan  Temp   Perf          Pwr:Usage/Cap ", "           Memory-Usage ", " GPU-Util  Compute M. "),
        _row("", "", "               MIG M. "),
        _rule("=", "|", "|"),
    ]
    for gpu in gpus:
        lines += [*_gpu(gpu), _rule("-", "+", "+")]
    return "\n".join([*lines, "", *_processes(gpus)])


def _edge(char: str) -> str:
    return f"+{char * WHOLE}+"


def _rule(char: str, begin: str, end: str) -> str:
    return begin + "+".join(char * width for width in WIDTHS) + end


def _wide(text: str) -> str:
    return f"|{text:<{WHOLE}}|"


def _row(*cells: str) -> str:
    return "|" + "|".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)) + "|"


def _gpu(gpu: GpuReadings) -> list[str]:
    name = f" {gpu['index']:>3}  {gpu['model']:<30} On  "
    bus = f" {gpu['pci_bus_id']:>18} Off "
    mig = _row("", "", f"{GPUS.fields['mig.mode.current'].value(gpu):>21} ")
    if gpu["blind"]:
        gone = _row(" ERR!  ERR!  ERR!           ERR!  / ERR! ", "     ERR!  /      ERR!  ", "   ERR!      Default ")
        return [_row(name, bus, f"{'XID ' + str(gpu['xid']):>21} "), gone, mig]
    power = f"{gpu['power_w']:.0f}W / {gpu['power_limit_w']:>4.0f}W"
    memory = f"{gpu['memory_used_bytes'] // MIB}MiB / {gpu['memory_total_bytes'] // MIB:>6}MiB"
    state = f" N/A  {gpu['temperature_c']:>3.0f}C    {GPUS.fields['pstate'].value(gpu)!s:<4}{power:>22} "
    busy = NOT_AVAILABLE if gpu["parts"] else f"{gpu['utilization_percent']}%"
    return [
        _row(name, bus, f"{gpu['errors']['dbe']:>21} "),
        _row(state, f"{memory:>23} ", f"{busy:>8}      Default "),
        mig,
    ]


def _processes(gpus: Sequence[GpuReadings]) -> list[str]:
    found = [
        f"  {row['index']:>3}   N/A  N/A  {row['pid'] or NOT_AVAILABLE:>14}      C   {row['pod'][:36]:<36}"
        f"{row['memory_bytes'] // MIB:>7}MiB "
        for row in processes(gpus)
    ]
    return [
        _edge("-"),
        _wide(" Processes:"),
        _wide("  GPU   GI   CI              PID   Type   Process name                        GPU Memory "),
        _wide("        ID   ID                                                               Usage      "),
        f"|{'=' * WHOLE}|",
        *(_wide(line) for line in found or ["  No running processes found"]),
        _edge("-"),
    ]


def listing(gpus: Sequence[GpuReadings]) -> str:
    """``nvidia-smi -L``: GPUs, and below each its MIG instances."""
    lines = []
    for gpu in gpus:
        lines.append(f"GPU {gpu['index']}: {gpu['model']} (UUID: {gpu['uuid']})")
        for number, part in enumerate(gpu["parts"]):
            lines.append(f"  MIG {part['profile']:<12} Device {number:>2}: (UUID: {part['uuid']})")
    return "\n".join(lines) or "No devices found."
