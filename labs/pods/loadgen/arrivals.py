"""When to send requests: a schedule independent of the answers."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

ARRIVALS = ("constant", "poisson", "ramp", "burst")


def constant(rps: float, seconds: float) -> Iterator[float]:
    """Seconds from the start at which requests are due, in equal gaps; ``round(rps * seconds)`` of them."""
    for i in range(round(rps * seconds)):
        yield i / rps


def poisson(rps: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds from the start of independent arrivals: exponential gaps with the mean ``1 / rps``."""
    chance = random.Random(seed)
    due = chance.expovariate(rps)
    while due < seconds:
        yield due
        due += chance.expovariate(rps)


def ramp(first: float, last: float, seconds: float) -> Iterator[float]:
    """Arrivals whose rate changes linearly from ``first`` to ``last`` requests per second; either may be 0."""
    # After t seconds first·t + slope·t²/2 requests were due: the k-th is due where that is k.
    slope = (last - first) / seconds
    for k in range(math.floor((first + last) / 2 * seconds + 1e-9)):
        root = math.sqrt(max(0.0, first * first + 2 * slope * k))
        yield 2 * k / (first + root) if first + root else 0.0


def burst(rps: float, seconds: float, every: float) -> Iterator[float]:
    """All requests of ``every`` seconds at once, at their beginning: the mean rate is ``rps``."""
    sent = 0
    for i in range(math.ceil(seconds / every)):
        due = min(seconds, (i + 1) * every) * rps
        for _ in range(sent, round(due)):
            yield i * every
        sent = round(due)
