"""Spans of time that a chart shades: when a fault was active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Window:
    """From ``start`` to ``end`` (UTC; None: it has not ended), with the label that a chart writes above it."""

    label: str
    start: datetime
    end: datetime | None = None

    def clipped(self, start: datetime, end: datetime) -> Window | None:
        """The part between two times, or None if they do not overlap."""
        first, last = max(self.start, start), min(self.end or datetime.now(UTC), end)
        return Window(self.label, first, last) if first < last else None
