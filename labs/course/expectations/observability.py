"""Notebook 07: each plane has its numbers in Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check

if TYPE_CHECKING:
    from labs.lab import Lab

WITNESSES = {
    "the cards": ("gpu", "sum(increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[1m]))"),
    "the model server": ("gpu", "sum(increase(vllm:request_success_total[10m]))"),
    "the chat's proxy": ("app", 'sum(increase(response_total{namespace="shop",direction="outbound"}[10m]))'),
}


@check(
    "07.1",
    "the cards, the model server and the chat's proxy have all counted something",
    hint="run the load cells again",
    within=20,
)
def witnesses_speak(lab: Lab) -> Finding:
    silent = []
    for name, (cluster, promql) in WITNESSES.items():
        frame = lab.query(promql, cluster=cluster, last="5s")
        if frame.empty or not frame.iloc[-1].iloc[0] > 0:
            silent.append(name)
    return Finding(not silent, f"silent: {', '.join(silent)}" if silent else "all three")
