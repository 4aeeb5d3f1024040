"""What work costs a GPU: a roofline of arithmetic and memory traffic.

Sources of the constants: docs/gpu-model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from labs.pods.gpu_simulator.profile import Profile
from labs.wire.gpu_work import Work

BYTES_PER_PARAMETER = 2
"""FP16 or BF16 weights."""
FLOPS_PER_PARAMETER = 2
"""One multiplication and one addition per parameter and token of a forward pass."""
ARITHMETIC_EFFICIENCY = 0.5
"""Share of the tensor peak that a good kernel reaches."""
BANDWIDTH_EFFICIENCY = 0.8
"""Share of the memory bandwidth that decoding reaches."""
PREFILL_CHUNK = 512
"""Prompt tokens read in one pass over the weights."""
NOMINAL_WEIGHTS = 16_000_000_000
"""Bytes of an 8-billion-parameter model: the rates reported to a client that has not loaded its weights yet."""


class BadWork(ValueError):
    """An invalid report; the message names the field."""


def parse(body: Any) -> Work:
    """A report from its JSON.

    Raises:
        BadWork: not an object, an unknown field, a wrong type or a negative number.
    """
    if not isinstance(body, Mapping):
        raise BadWork(f"expected a JSON object; found {type(body).__name__}")
    known: dict[str, Any] = {field.name: field.default for field in fields(Work)}
    for name, value in body.items():
        if name not in known:
            raise BadWork(f"unknown field {name!r}; known are {', '.join(known)}")
        wanted = (int, float) if name == "seconds" else type(known[name])
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise BadWork(f"{name}: expected {'text' if wanted is str else 'a number'}; found {value!r}")
        if wanted is not str and not 0 <= value < 1e18:
            raise BadWork(f"{name}: expected a number of at least 0; found {value!r}")
    return Work(**body)


@dataclass
class Demand:
    """What work costs a GPU: ``seconds`` of its time at full clocks, floating-point operations, bytes of memory traffic."""

    seconds: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0

    def add(self, other: Demand) -> None:
        self.seconds += other.seconds
        self.flops += other.flops
        self.bytes += other.bytes

    def take(self, share: float) -> Demand:
        """Cut off ``share`` (0 to 1) of the demand and return it."""
        part = Demand(self.seconds * share, self.flops * share, self.bytes * share)
        self.seconds -= part.seconds
        self.flops -= part.flops
        self.bytes -= part.bytes
        return part


def flops_per_token(weights_bytes: int) -> float:
    return FLOPS_PER_PARAMETER * (weights_bytes or NOMINAL_WEIGHTS) / BYTES_PER_PARAMETER


def token_rate(profile: Profile, weights_bytes: int) -> float:
    """Tokens per second at full clocks where arithmetic is the limit: reading prompts, or decoding a very large batch."""
    return profile.tensor_flops * ARITHMETIC_EFFICIENCY / flops_per_token(weights_bytes)


def decode_step_seconds(profile: Profile, work: Work, batch: int) -> float:
    """Time of one decoding step for ``batch`` sequences: all weights and the cache are read once, or arithmetic takes longer."""
    memory = work.resident_bytes / (profile.bandwidth_bytes_per_second * BANDWIDTH_EFFICIENCY)
    return max(memory, batch / token_rate(profile, work.weights_bytes))


def demand_of(profile: Profile, work: Work) -> Demand:
    """What the reported tokens cost the GPU."""
    batch = max(1, work.running)
    steps = work.decode_tokens / batch
    seconds = work.prefill_tokens / token_rate(profile, work.weights_bytes) + steps * decode_step_seconds(profile, work, batch)
    traffic = work.prefill_tokens / PREFILL_CHUNK * work.weights_bytes + steps * work.resident_bytes
    return Demand(seconds, (work.prefill_tokens + work.decode_tokens) * flops_per_token(work.weights_bytes), traffic)
