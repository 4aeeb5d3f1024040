"""Back-off of restarts and pulls: the waits that were recorded on a kubelet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node.backoff import LONGEST, Backoff, go_duration


def test_the_recorded_waits() -> None:
    backoff = Backoff()
    assert [backoff.next() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_running_well_for_ten_minutes_restarts_the_count() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.next()
    assert backoff.next(2 * LONGEST) == 80
    assert backoff.next(2 * LONGEST + 1) == 0
    assert backoff.next() == 10


@given(st.lists(st.floats(0, 2 * LONGEST), min_size=1, max_size=2000))
def test_never_shorter_than_before_and_never_over_five_minutes(runs: list[float]) -> None:
    backoff = Backoff()
    waits = [backoff.next(ran_for) for ran_for in runs]
    assert waits == sorted(waits) and waits[-1] <= LONGEST


@given(st.integers(0, 10**6))
def test_durations_read_back(seconds: int) -> None:
    text = go_duration(seconds)
    units = {"h": 3600, "m": 60, "s": 1}
    total, number = 0, ""
    for letter in text:
        if letter.isdigit():
            number += letter
        else:
            total, number = total + int(number) * units[letter], ""
    assert total == seconds
