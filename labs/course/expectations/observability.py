"""Notebook 07: each layer has its numbers in Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.topology import Role

if TYPE_CHECKING:
    from labs.lab import Lab

WITNESSES: dict[str, tuple[Role, str]] = {
    "the GPUs": ("gpus", "sum(increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[1m]))"),
    "the model server": ("gpus", "sum(increase(vllm:request_success_total[10m]))"),
    "the chat's proxy": ("users", 'sum(increase(response_total{namespace="shop",direction="outbound"}[10m]))'),
}


@check(
    "07.1",
    "the GPUs, the model server and the chat's proxy have all counted something",
    hint="run the load cells again",
    within=20,
)
def witnesses_speak(lab: Lab) -> Finding:
    silent = []
    for name, (role, promql) in WITNESSES.items():
        frame = lab.query(promql, cluster=lab.primary(role).name, last="5s")
        if frame.empty or not frame.iloc[-1].iloc[0] > 0:
            silent.append(name)
    return Finding(not silent, f"silent: {', '.join(silent)}" if silent else "all three")
