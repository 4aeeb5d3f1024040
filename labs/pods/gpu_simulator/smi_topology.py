"""``nvidia-smi topo -m``: how the GPUs of a container are connected."""

from __future__ import annotations

from collections.abc import Sequence

from labs.pods.gpu_simulator.smi_csv import NOT_AVAILABLE, GpuReadings

LEGEND = """
Legend:

  X    = the GPU itself
  PHB  = through PCIe and a PCIe host bridge
  NV#  = through # NVLinks

CPU and NUMA affinity are not simulated."""
AFFINITIES = ("CPU Affinity", "NUMA Affinity", "GPU NUMA ID")


def matrix(gpus: Sequence[GpuReadings]) -> str:
    """The matrix, its cells separated by tabs as in nvidia-smi. GPUs with NVLink reach each other through a switch."""
    names = [f"GPU{gpu['index']}" for gpu in gpus]
    lines = ["\t".join(["", *names, *AFFINITIES])]
    for gpu, name in zip(gpus, names, strict=True):
        link = f"NV{gpu['nvlinks']}" if gpu["nvlinks"] else "PHB"
        lines.append("\t".join([name, *(" X " if other == name else link for other in names), *[NOT_AVAILABLE] * 3]))
    return "\n".join([*lines, LEGEND])
