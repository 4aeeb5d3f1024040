"""Run rows and compare: ordered topics one row after the other, all else at the same time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from labs.errors import LabError
from tests.parity import expect
from tests.parity.context import ParityContext
from tests.parity.rows import Row, Topic

WORKERS = 10
"""Rows in flight: most of them wait for a pod, few compute."""
LEAST = 3
"""How often an answer that may settle is asked for, however long each look takes on a busy machine."""
LOOK_AGAIN = 0.4
"""Seconds between two questions while an answer may still settle."""


@dataclass(frozen=True)
class Outcome:
    """What the backend at hand answered to a row."""

    row: Row
    answer: Any
    same: bool
    seconds: float
    error: str = ""
    """Why the row could not be asked at all; empty where it was."""

    @property
    def as_declared(self) -> bool:
        """Whether the embedded backend does what its row declares."""
        return not self.error and self.same == (self.row.verdict == "same")


def run(topics: Sequence[Topic], context: ParityContext, tell: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """Run all rows of the topics; outcomes in the order of the table. ``tell`` hears of each as it ends."""

    def work(rows: list[Row]) -> list[Outcome]:
        done = []
        for row in rows:
            done.append(play(row, context))
            tell(done[-1])
        return done

    pool = ThreadPoolExecutor(WORKERS)
    try:
        parts = list(pool.map(work, jobs(topics)))
    finally:
        # Interrupted, what has not begun does not begin.
        pool.shutdown(cancel_futures=True)
    parts += [work(topic.rows) for topic in topics if topic.alone]
    found = {outcome.row.id: outcome for part in parts for outcome in part}
    return [found[row.id] for topic in topics for row in topic.rows]


def jobs(topics: Sequence[Topic]) -> list[list[Row]]:
    """What can run at the same time: an ordered topic as a whole, else each row; the longest first."""
    shared = [topic for topic in topics if not topic.alone]
    parts = [part for topic in shared for part in ([topic.rows] if topic.ordered else [[row] for row in topic.rows])]
    return sorted(parts, key=len, reverse=True)


def play(row: Row, context: ParityContext) -> Outcome:
    """Ask one row, again while its answer may settle."""
    begun, looks = time.monotonic(), 0
    try:
        while True:
            looks += 1
            answer = row.probe(context)
            same = expect.same(row.real, answer)
            seconds = time.monotonic() - begun
            patient = row.within > 0 and (looks < LEAST or seconds < row.within)
            if same or not patient:
                return Outcome(row, answer, same, seconds)
            time.sleep(LOOK_AGAIN)
    except LabError as error:
        return Outcome(row, None, False, time.monotonic() - begun, error.message)
    except Exception:  # a probe that stumbles over an unexpected answer is a finding about its row, not the end of the run
        return Outcome(row, None, False, time.monotonic() - begun, traceback.format_exc(limit=-2))
