"""The questions one asks of a serving fleet, each with the PromQL that answers it: ``lab.ask("time to first token")``."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import NotFound
from labs.telemetry.promql import quantile, rate, share

OUTBOUND = 'direction="outbound",deployment!="",dst_service=~"model-server.*"'


@dataclass(frozen=True)
class Question:
    """What is asked of which cluster's Prometheus, in which unit; ``reading`` says what to look for."""

    title: str
    cluster: str
    promql: str
    unit: str
    reading: str


def _tokens(cached: str) -> str:
    return rate(f"vllm:prefix_cache_{cached}_total", window="1m")


QUESTIONS = {
    question.title: question
    for question in (
        Question(
            "tokens per second", "gpu", rate("vllm:generation_tokens_total", by=["pod"]), "tokens/s",
            "What the fleet gives; where it stays flat although more is asked, it is full.",
        ),
        Question("requests running", "gpu", "sum by (pod) (vllm:num_requests_running)", "requests", "At max_num_seqs: full."),
        Question("requests waiting", "gpu", "sum by (pod) (vllm:num_requests_waiting)", "requests", "Above zero users wait."),
        Question(
            "time to first token", "gpu", quantile(0.95, "vllm:time_to_first_token_seconds", by=["pod"]), "s",
            "It grows with the queue: the wait is in it.",
        ),
        Question(
            "time between tokens", "gpu", quantile(0.95, "vllm:inter_token_latency_seconds", by=["pod"]), "s",
            "It grows with a slower card, not with the queue.",
        ),
        Question(
            "prefix cache", "gpu", share(_tokens("hits"), _tokens("queries")), "share of prompt tokens",
            "What is found here need not be computed.",
        ),
        Question(
            "KV cache", "gpu", "max by (pod) (vllm:kv_cache_usage_perc)", "share of blocks", "At 1 sequences are preempted.",
        ),
        Question(
            "watt per card", "gpu", 'max by (node, gpu) (DCGM_FI_DEV_POWER_USAGE{pod!=""})', "W", "Work draws power.",
        ),
        Question(
            "joule per token", "gpu",
            share('sum(rate(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{pod!=""}[30s])) / 1000',
                  rate("vllm:generation_tokens_total", window="30s")),
            "J", "A card that idles costs most per token.",
        ),
        Question(
            "success rate", "app",
            share(rate("response_total", f'{OUTBOUND},classification="success"'), rate("response_total", OUTBOUND)),
            "share of calls", "What the callers' proxies saw; a 429 counts as a success.",
        ),
    )
}  # fmt: skip
"""By title."""


def find(title: str) -> Question:
    """The question of that title.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    if title not in QUESTIONS:
        raise NotFound("question", title, list(QUESTIONS))
    return QUESTIONS[title]
