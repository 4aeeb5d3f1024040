"""Wait for a condition, never for a clock: for tests that block and for those that run in asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from labs.waiting import async_attempts, attempts

Found = TypeVar("Found")


def eventually(
    look: Callable[[], Found], seconds: float = 30, *, holds: Callable[[Found], Any] = bool, every: float = 0.25
) -> Found:
    """What ``look()`` finds as soon as that ``holds``; fails after so many seconds with what was found last."""
    for _ in attempts(seconds, every):
        found = look()
        if holds(found):
            return found
    raise AssertionError(f"after {seconds:g} s still {found!r}")


async def until(condition: Callable[[], Any], seconds: float = 15, *, every: float = 0.02) -> None:
    """Return as soon as the condition is true; fails after so many seconds."""
    async for _ in async_attempts(seconds, every):
        if condition():
            return
    raise AssertionError(f"after {seconds:g} s still not true: {condition}")
