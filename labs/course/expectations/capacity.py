"""Notebook 10: the queue of one GPU and the tokens of two were seen, and both GPUs serve again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.model_server import model_server_is_ready
from labs.telemetry.promql import rate

if TYPE_CHECKING:
    from labs.lab import Lab

LOOKED_BACK = "30m"
MORE_THAN_ONE = 500
"""Tokens a second that one GPU cannot give: eight sequences of 55 are 440."""


def _most(promql: str, ready: int) -> str:
    """PromQL: the most that ``promql`` was while so many model servers were ready."""
    while_ready = f'({promql}) and on () (count(up{{job="ready-endpoints"}}) == {ready})'
    return f"max_over_time(({while_ready})[{LOOKED_BACK}:1s])"


QUEUE_OF_ONE = _most("sum(vllm:num_requests_waiting)", ready=1)
TOKENS_OF_TWO = _most(rate("vllm:generation_tokens_total", window="5s"), ready=2)


def _value(lab: Lab, promql: str) -> float | None:
    frame = lab.query(promql, cluster=lab.gpu.name, last="2s")
    return None if frame.empty else float(frame.iloc[-1].iloc[0])


@check("10.1", "both model servers are ready again", hint="run the cell of step 3 again", within=60)
def both_gpus_serve(lab: Lab) -> Finding:
    return model_server_is_ready(lab)


@check("10.2", "requests waited while one model server was ready", hint="run steps 1 and 2 again", within=10)
def one_gpu_was_full(lab: Lab) -> Finding:
    found = _value(lab, QUEUE_OF_ONE)
    if found is None:
        return Finding(False, f"in the last {LOOKED_BACK} there was never just one model server ready")
    return Finding(found >= 1, f"{found:.0f} waited at most")


@check("10.3", f"two model servers generated more than {MORE_THAN_ONE} tokens a second", hint="run step 4 again", within=10)
def two_gpus_generated_more(lab: Lab) -> Finding:
    found = _value(lab, TOKENS_OF_TWO)
    if found is None:
        return Finding(False, f"in the last {LOOKED_BACK} there were never two model servers that generated tokens")
    return Finding(found > MORE_THAN_ONE, f"{found:.0f} tokens a second at most")
