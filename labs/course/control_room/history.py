"""What the live chart draws: the most recent part of several series."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

SPAN = 120.0
"""Seconds that the chart shows."""
MAX_POINTS = 600
"""Points kept, however fast they arrive: more than twice what two updates per second need."""

Point = tuple[float, float]
"""Unix time in seconds, and a value."""


class History:
    """The points of the last ``span`` seconds. Older ones are dropped, so memory does not grow."""

    def __init__(self, span: float = SPAN, most: int = MAX_POINTS) -> None:
        self.span = span
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """Add the values of a moment; a missing name has no value."""
        self._rows.append((at, values))
        while self._rows[0][0] < at - self.span:
            self._rows.popleft()

    def latest(self, name: str) -> float | None:
        """The latest value of a series; None if it has none now."""
        return self._rows[-1][1].get(name) if self._rows else None

    def pieces(self, name: str) -> list[list[Point]]:
        """A series as unbroken pieces. A gap stays a gap, because a series that ended is often the point."""
        found: list[list[Point]] = [[]]
        for at, values in self._rows:
            value = values.get(name)
            if value is not None:
                found[-1].append((at, value))
            elif found[-1]:
                found.append([])
        return [piece for piece in found if piece]
