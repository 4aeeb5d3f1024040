"""Polling with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from labs import waiting
from labs.waiting import async_attempts, attempts, wait_until


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(waiting.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(waiting.time, "sleep", made.sleep)
    return made


def test_the_first_attempt_is_immediate_and_the_last_is_at_the_deadline(clock: Clock) -> None:
    assert [round(spent, 3) for spent in attempts(0.25, 0.1)] == [0, 0.1, 0.2, 0.25]


def test_a_timeout_of_zero_gives_one_attempt(clock: Clock) -> None:
    assert list(attempts(0)) == [0]
    assert clock.naps == []


def test_a_slow_attempt_past_the_deadline_is_followed_by_a_last_one(clock: Clock) -> None:
    made = 0
    for _ in attempts(1, 0.1):
        made += 1
        clock.now += 5
    assert made == 2


def counter(true_at: int) -> Callable[[], int]:
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return calls if calls >= true_at else 0

    return count


def test_wait_until_returns_the_first_truthy_result(clock: Clock) -> None:
    assert wait_until(counter(true_at=3), timeout=1, interval=0.1) == 3
    assert clock.now == pytest.approx(100.2)


def test_wait_until_returns_the_last_falsy_result_when_time_runs_out(clock: Clock) -> None:
    assert wait_until(counter(true_at=50), timeout=1, interval=0.1) == 0
    assert clock.now == pytest.approx(101)


async def test_the_asyncio_twin_stops_at_its_deadline() -> None:
    started = time.monotonic()
    spent = [value async for value in async_attempts(0.05, 0.02)]
    assert spent[0] == pytest.approx(0, abs=0.02)
    assert spent[-1] >= 0.05
    assert time.monotonic() - started < 5


async def test_the_asyncio_twin_lets_others_run() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    async for _ in async_attempts(0.05, 0.01):
        pass
    assert other.done()
