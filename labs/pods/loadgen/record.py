"""One request's record; README.md in this folder describes the fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SERVED_BY = ("cluster", "pod", "node", "gpu")


@dataclass
class Record:
    """What happened to one request. Points in time are Unix time, durations seconds."""

    id: int
    intended: float
    sent: float
    end: float
    first_byte: float | None = None
    status: int = 0
    error: str | None = None
    cluster: str | None = None
    pod: str | None = None
    node: str | None = None
    gpu: str | None = None
    model_seconds: float | None = None
    tokens: int = 0
    itl: list[float] = field(default_factory=list)
    streamed: bool = False

    @property
    def latency(self) -> float:
        """How long a user would have waited: from when the request was due, not from when it was sent."""
        return self.end - self.intended

    @property
    def ttft(self) -> float | None:
        return self.first_byte - self.intended if self.streamed and self.first_byte is not None else None

    @property
    def tpot(self) -> float | None:
        """Mean seconds per token after the first."""
        if not self.streamed or self.first_byte is None or self.tokens < 2:
            return None
        return (self.end - self.first_byte) / (self.tokens - 1)

    @property
    def lag(self) -> float:
        return self.sent - self.intended

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.error is None

    def line(self, *, with_itl: bool) -> dict[str, Any]:
        """The record as it is printed, rounded to microseconds."""
        values: dict[str, Any] = {"kind": "request", **vars(self)}
        values |= {"latency": self.latency, "ttft": self.ttft, "tpot": self.tpot, "lag": self.lag, "ok": self.ok}
        del values["streamed"]
        if with_itl:
            values["itl"] = [round(gap, 6) for gap in self.itl]
        else:
            del values["itl"]
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()}
