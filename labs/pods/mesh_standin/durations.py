"""Durations as the Gateway API and Linkerd's annotations write them."""

from __future__ import annotations

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+)(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds of ``1m30s``, ``500ms``, …

    Raises:
        ValueError: worded as Linkerd's policy controller does.

    >>> parse_duration("500ms"), parse_duration("1m30s")
    (0.5, 90.0)
    """
    if not re.fullmatch(rf"({PART.pattern})+", text):
        raise ValueError(f"{text} does not contain a timeout duration value")
    return sum(int(number) * UNITS[unit] for number, unit in PART.findall(text))


def duration_text(seconds: float) -> str:
    """As Linkerd's proxy prints it in errors.

    >>> duration_text(0.5), duration_text(1.5), duration_text(60.0)
    ('500ms', '1.5s', '60s')
    """
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"
