"""Questions about a serving fleet and the PromQL that answers them: ``lab.ask("time to first token")``."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import NotFound
from labs.telemetry.promql import quantile, rate, share
from labs.topology import PlacedByRole, Role

OUTBOUND = 'direction="outbound",deployment!="",dst_service=~"model-server.*"'


@dataclass(frozen=True)
class Question(PlacedByRole):
    """A query for the Prometheus of one role's cluster; ``reading`` says what to look for."""

    title: str
    role: Role
    promql: str
    unit: str
    reading: str


def _tokens(cached: str) -> str:
    return rate(f"vllm:prefix_cache_{cached}_total", window="1m")


_ENERGY = 'sum(rate(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{pod!=""}[30s])) / 1000'
_ALL = (
    Question(
        title="tokens per second",
        role="gpus",
        promql=rate("vllm:generation_tokens_total", by=["pod"]),
        unit="tokens/s",
        reading="The fleet's output. If it stays flat under more load, the fleet is full.",
    ),
    Question(
        title="requests running",
        role="gpus",
        promql="sum by (pod) (vllm:num_requests_running)",
        unit="requests",
        reading="At max_num_seqs the server is full.",
    ),
    Question(
        title="requests waiting",
        role="gpus",
        promql="sum by (pod) (vllm:num_requests_waiting)",
        unit="requests",
        reading="Above zero, users wait.",
    ),
    Question(
        title="time to first token",
        role="gpus",
        promql=quantile(0.95, "vllm:time_to_first_token_seconds", by=["pod"]),
        unit="s",
        reading="It includes the time in the queue and grows with it.",
    ),
    Question(
        title="time between tokens",
        role="gpus",
        promql=quantile(0.95, "vllm:inter_token_latency_seconds", by=["pod"]),
        unit="s",
        reading="It grows with a slower GPU, not with the queue.",
    ),
    Question(
        title="prefix cache",
        role="gpus",
        promql=share(_tokens("hits"), _tokens("queries")),
        unit="share of prompt tokens",
        reading="Tokens found in the cache need not be computed.",
    ),
    Question(
        title="KV cache",
        role="gpus",
        promql="max by (pod) (vllm:kv_cache_usage_perc)",
        unit="share of blocks",
        reading="At 1, sequences are preempted.",
    ),
    Question(
        title="watts per GPU",
        role="gpus",
        promql='max by (node, gpu) (DCGM_FI_DEV_POWER_USAGE{pod!=""})',
        unit="W",
        reading="Work draws power.",
    ),
    Question(
        title="joules per token",
        role="gpus",
        promql=share(_ENERGY, rate("vllm:generation_tokens_total", window="30s")),
        unit="J",
        reading="An idle GPU costs the most per token.",
    ),
    Question(
        title="success rate",
        role="users",
        promql=share(rate("response_total", f'{OUTBOUND},classification="success"'), rate("response_total", OUTBOUND)),
        unit="share of calls",
        reading="As the callers' proxies see it; a 429 counts as a success.",
    ),
)
QUESTIONS = {question.title: question for question in _ALL}
"""By title."""


def find(title: str) -> Question:
    """The question with that title.

    Raises:
        NotFound: there is none; the message lists all titles.
    """
    if title not in QUESTIONS:
        raise NotFound("question", title, list(QUESTIONS))
    return QUESTIONS[title]
