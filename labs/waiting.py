"""Polling with a deadline, for code that blocks and for asyncio. Everything that waits for a condition uses one of these.

``attempts`` is for loops that end by returning; the code after the loop is the timeout.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

INTERVAL = 0.1
"""Seconds between two attempts unless the caller says otherwise."""

T = TypeVar("T")


def attempts(timeout: float, interval: float = INTERVAL) -> Iterator[float]:
    """Yield immediately and then every ``interval`` seconds until ``timeout`` seconds have passed; each value is the time spent.

    The last attempt starts at or after the deadline, so a condition that becomes true just in time is never missed.
    """
    started = time.monotonic()
    while True:
        spent = time.monotonic() - started
        yield spent
        if spent >= timeout:
            return
        time.sleep(min(interval, max(0.0, timeout - (time.monotonic() - started))))


async def async_attempts(timeout: float, interval: float = INTERVAL) -> AsyncIterator[float]:
    """``attempts`` for asyncio."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        spent = loop.time() - started
        yield spent
        if spent >= timeout:
            return
        await asyncio.sleep(min(interval, max(0.0, timeout - (loop.time() - started))))


def wait_until(condition: Callable[[], T], timeout: float, interval: float = INTERVAL) -> T:
    """Call ``condition`` until its result is truthy, and return the last result: falsy if time ran out.

    ``timeout`` and ``interval`` are in seconds.
    """
    for _ in attempts(timeout, interval):
        result = condition()
        if result:
            break
    return result
