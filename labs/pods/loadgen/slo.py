"""Goodput: which answers came fast enough to count."""

from __future__ import annotations

from dataclasses import dataclass

from labs.pods.loadgen.record import Record

MEASURES = ("ttft", "tpot", "latency")


@dataclass(frozen=True)
class Slo:
    """Limits in seconds, by the name of what they limit: ``ttft``, ``tpot`` (mean time per output token after the first) or
    ``latency``. A request is good if it was answered and keeps all of them."""

    limits: dict[str, float]

    def met(self, record: Record) -> bool:
        values = ((getattr(record, name), limit) for name, limit in self.limits.items())
        return record.ok and all(value is not None and value <= limit for value, limit in values)


def parse(text: str) -> Slo:
    """``ttft=0.5,tpot=0.05`` as limits in seconds.

    Raises:
        ValueError: a name or a number is invalid.
    """
    limits = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = 0.0
        if name not in MEASURES or not limits[name] > 0:
            raise ValueError(f"expected limits such as ttft=0.5,tpot=0.05,latency=5; found {part!r}")
    return Slo(limits)
