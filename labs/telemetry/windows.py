"""Spans of time that a chart marks: when a fault was in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Window:
    """From ``start`` to ``end`` (UTC; None: it still goes on), with the few words a chart writes above it."""

    label: str
    start: datetime
    end: datetime | None = None

    def clipped(self, start: datetime, end: datetime) -> Window | None:
        """The part that lies between two times, or None if there is none."""
        first, last = max(self.start, start), min(self.end or datetime.now(UTC), end)
        return Window(self.label, first, last) if first < last else None
