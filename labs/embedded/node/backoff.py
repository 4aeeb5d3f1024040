"""Exponential back-off as the kubelet does it, for restarts and for image pulls."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 10.0
"""Seconds; kubelet's own initial value."""
LONGEST = 300.0
"""Seconds; a container that ran for twice as long starts counting from zero."""


@dataclass
class Backoff:
    """0 s once, then 10 s doubling up to 5 min."""

    failures: int = 0

    def next(self, ran_for: float = 0.0) -> float:
        """Seconds to wait after another failure of something that ran for ``ran_for`` seconds."""
        if ran_for > 2 * LONGEST:
            self.failures = 0
        delay = min(FIRST * 2 ** (self.failures - 1), LONGEST) if self.failures else 0.0
        self.failures += 1
        return delay


def go_duration(seconds: float) -> str:
    """Whole seconds as Go prints a time.Duration.

    >>> [go_duration(s) for s in (10, 40, 80, 160, 300, 3600)]
    ['10s', '40s', '1m20s', '2m40s', '5m0s', '1h0m0s']
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
