"""The messages between a program and its GPU, over the GPU simulator's work socket (described in the simulator's README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Work:
    """What a program did with the GPU in the last ``seconds``, and what it has in the GPU's memory now, in bytes.

    ``context`` names the process: a restarted container has the same ``pod`` but another CUDA context. ``pid`` is the process ID
    as the process itself sees it; 0 if it does not report one.
    """

    pod: str = ""
    prefill_tokens: int = 0
    decode_tokens: int = 0
    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    running: int = 0
    seconds: float = 0.0
    context: str = ""
    pid: int = 0

    @property
    def resident_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes


class GpuState(StrEnum):
    """How the GPU answers a program."""

    OK = "ok"
    LOST = "lost"
    """Every use of the GPU fails, in this process and in any new one."""
    FAILED = "failed"
    """This process's context is dead: each of its calls fails with ``WorkAnswer.error``. A new process works."""
    HUNG = "hung"
    """Kernels start and never finish, without an error: pace and rates are 0."""


@dataclass(frozen=True)
class WorkAnswer:
    """The GPU's answer to a report.

    ``pace`` is 1 at full clocks and less when the GPU throttles; the rates, in tokens per second for all sequences together,
    already include it. ``memory_free_bytes`` is what this program can still allocate. ``error`` is CUDA's text if LOST or FAILED.
    """

    state: GpuState
    pace: float
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    memory_total_bytes: int
    memory_free_bytes: int
    error: str = ""
