"""A shift on call: users, a steady state, and then something breaks that nobody names. Games and incidents are made of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from labs.course.gameday import pager
from labs.course.gameday.pager import Page
from labs.errors import UsageError
from labs.faults import session
from labs.faults.catalogue import Fault
from labs.faults.injectors.base import Where
from labs.faults.journal import Injection
from labs.telemetry import story
from labs.telemetry.load import LoadResult, RunningLoad

if TYPE_CHECKING:
    from labs.lab import Lab

RPS = 5.0
LONGEST = 1800.0
"""Seconds of load: what takes longer goes on without users."""
STEADY = 12.0
"""Seconds of steady state before anything breaks, for the graphs to be compared with."""


class Shift:
    """``faults`` break one after the other when it begins, each at the place ``where`` names by the fault's name."""

    def __init__(self, lab: Lab, faults: Sequence[Fault], where: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._lab, self._faults, self._where = lab, faults, where or {}
        self._load: RunningLoad | None = None
        self._steady = pd.DataFrame(columns=["plane", "now"])
        self.began = 0.0
        self.injections: list[Injection] = []

    def begin(self, steady: float) -> None:
        """Send users, wait for a steady state of so many seconds, then break everything. Nothing is left if that fails.

        Raises:
            UsageError: something is broken already, or this backend cannot make one of the faults.
        """
        if self._lab.active_faults():
            raise UsageError("something is broken already: begin with a whole lab", fix="lab fault heal --all")
        places = [self._place(fault) for fault in self._faults]
        self.began = time.time()
        # Evenly spaced: a pager that looks at five seconds must not page for a random gap between users.
        self._load = self._lab.load("chat", rps=RPS, seconds=LONGEST, timeout=8, arrivals="constant", wait=False)
        try:
            self._wait_for_users()
            time.sleep(steady)
            self._wait_for_users()  # what another load left in the window is no steady state
            self._steady = self._lab.glance()
            for fault, place in zip(self._faults, places, strict=True):
                self.injections.append(self._inject(fault, place))
        except BaseException:
            self.end()
            self.injections.clear()
            raise

    def _wait_for_users(self) -> None:
        self._lab.wait_until(f"sum(rate(response_total{{{story.CALLS}}}[5s])) > {0.9 * RPS}", timeout=60)

    def _place(self, fault: Fault) -> Where:
        return session.prepare(self._lab.scene, self._lab.journal, fault.name, dict(self._where.get(fault.name, {})))[1]

    def _inject(self, fault: Fault, place: Where) -> Injection:
        return session.inject(self._lab.scene, self._lab.journal, fault, place, secret=True, owned=True)

    def page(self, seconds: float, quiet: tuple[str, ...] = ()) -> Page:
        """The pager, so many seconds after the injection: what users notice now, or ``quiet`` if they notice nothing."""
        return Page(seconds, pager.symptoms(self._lab.prometheus_servers(), self._steady["now"]) or quiet)

    def glance(self) -> pd.DataFrame:
        """A few numbers of every plane, beside those of the steady state: a row each, with what moved."""
        return self._lab.glance(self._steady)

    def users(self, since: float) -> LoadResult:
        """Every request since then (Unix time in seconds) that has ended so far."""
        assert self._load is not None, "begun"
        return self._load.so_far(since)

    def end(self) -> None:
        """Heal what is in force and send the users home; harmless if that is done already."""
        active = {injection.id for injection in self._lab.active_faults()}
        try:
            for injection in reversed(self.injections):
                if injection.id in active:
                    session.heal(self._lab.scene, self._lab.journal, injection)
        finally:
            if self._load:
                self._load.stop()
