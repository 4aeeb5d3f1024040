"""What the live chart draws: the last while of several series, and never more."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

SPAN = 120.0
"""Seconds the chart shows."""
MOST = 600
"""Points kept at most, however fast they come: twice what two updates a second need."""

Point = tuple[float, float]
"""Unix time in seconds, and a value."""


class History:
    """The points of the last ``span`` seconds; what is older is dropped, so memory does not grow."""

    def __init__(self, span: float = SPAN, most: int = MOST) -> None:
        self.span = span
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """Note the values of a moment; a name that is left out has none then."""
        self._rows.append((at, values))
        while self._rows[0][0] < at - self.span:
            self._rows.popleft()

    def latest(self, name: str) -> float | None:
        """The newest value of a series, None if it has none now."""
        return self._rows[-1][1].get(name) if self._rows else None

    def pieces(self, name: str) -> list[list[Point]]:
        """A series as unbroken pieces: a gap stays a gap, since a series that ended is often the message."""
        found: list[list[Point]] = [[]]
        for at, values in self._rows:
            value = values.get(name)
            if value is not None:
                found[-1].append((at, value))
            elif found[-1]:
                found.append([])
        return [piece for piece in found if piece]
