"""One long incident with two causes, in two clusters, at once, to be debugged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pandas as pd

from labs.course.gameday.pager import Page
from labs.course.gameday.shift import STEADY, Shift
from labs.errors import TimedOut, UsageError
from labs.faults.catalogue import find
from labs.faults.signs import is_there

if TYPE_CHECKING:
    from labs.lab import Lab

CAUSES = {"bad-rollout": {}, "link-latency": {"latency": 700}}
"""By name, with their words: somebody ships a version, and the way between the clusters becomes long."""
SIGNS = 90.0
"""Seconds in which a cause must show: the catalogue says what it takes on an idle machine, and a laptop on stage is not idle."""
POLL = 0.5
SEEN = 6.0
"""Seconds until what shows is plain to see as well: the windows of the graphs' rates are as long."""


class Incident:
    """``start`` breaks two things and returns the first page; ``lab fault heal NAME`` or ``close`` repairs what is left."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._faults = [find(name) for name in CAUSES]
        self._shift = Shift(lab, self._faults, CAUSES)

    def start(self, steady: float = STEADY) -> Page:
        """Wait for a steady state of so many seconds, break both, and wait until users notice. The first page.

        Raises:
            UsageError: it has begun, or something is broken already.
            TimedOut: a sign did not show in its time; what was broken is healed.
        """
        if self._shift.injections:
            raise UsageError("the incident has begun", fix="incident.page()")
        self._shift.begin(steady)
        try:
            self._wait_for_signs()
        except BaseException:
            self.close()
            raise
        return self.page()

    def _wait_for_signs(self) -> None:
        servers = self._lab.prometheus_servers()
        for fault, injection in zip(self._faults, self._shift.injections, strict=True):
            while not is_there(self._lab.scene, servers, fault.sign):
                if time.time() - injection.start > SIGNS:
                    raise TimedOut(f"{fault.name} does not show after {SIGNS:g} s", fix="lab fault heal --all")
                time.sleep(POLL)
        time.sleep(SEEN)

    def page(self) -> Page:
        """The pager as it is now: for how long, and what users notice.

        Raises:
            UsageError: it has not begun.
        """
        return self._shift.page(time.time() - self._since())

    def wait_until_quiet(self, timeout: float = 60) -> Page:
        """Wait until users notice nothing any more; the page then.

        Raises:
            TimedOut: they still do after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while (page := self.page()).symptoms:
            if time.monotonic() > deadline:
                raise TimedOut(f"users still notice after {timeout:g} s: {'; '.join(page.symptoms)}", fix="lab fault list")
            time.sleep(POLL)
        return page

    def glance(self) -> pd.DataFrame:
        """A few numbers of every plane now, beside those of the steady state before the injection."""
        self._since()
        return self._shift.glance()

    def users(self) -> pd.DataFrame:
        """Every request since the injection that has ended, by when it should have been sent; latency in seconds."""
        return self._shift.users(self._since()).records

    def _since(self) -> float:
        if not self._shift.injections:
            raise UsageError("the incident has not begun", fix="incident.start()")
        return self._shift.injections[0].start

    def close(self) -> None:
        """Send the users home, and heal whatever is still broken."""
        self._shift.end()
