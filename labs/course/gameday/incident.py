"""One long incident with two simultaneous causes in two clusters, to be debugged."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from labs.course.gameday.pager import Page
from labs.course.gameday.scenario import STEADY, Scenario
from labs.errors import TimedOut, UsageError
from labs.faults.catalogue import find
from labs.faults.symptoms import is_present
from labs.waiting import attempts, wait_until

if TYPE_CHECKING:
    from labs.lab import Lab

CAUSES = {"bad-rollout": {}, "link-latency": {"latency": 700}}
"""By name, with their parameters: somebody ships a version, and the path between the clusters becomes slow."""
SYMPTOM_TIMEOUT = 90.0
"""Seconds until a cause shows. It takes far less on an idle machine, but a laptop on stage is not idle."""
POLL = 0.5
"""Seconds between two looks: looking takes processor time from the users' requests."""
SETTLE = 6.0
"""Seconds until graphs show it clearly: about the window of their rates."""


class Incident:
    """``start`` breaks two things and returns the first page; ``lab fault heal NAME`` repairs one, ``close`` all that remain."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._faults = [find(name) for name in CAUSES]
        self._scenario = Scenario(lab, self._faults, CAUSES)

    def start(self, steady: float = STEADY) -> Page:
        """Wait for ``steady`` seconds of steady state, inject both faults and wait until they show. Returns the first page.

        Raises:
            UsageError: it has already started, or something is already broken.
            TimedOut: a symptom did not appear in time; everything is healed again.
        """
        if self._scenario.injections:
            raise UsageError("the incident has already started", fix="incident.page()")
        self._scenario.begin(steady)
        try:
            self._wait_for_symptoms()
        except BaseException:
            self.close()
            raise
        return self.page()

    def _wait_for_symptoms(self) -> None:
        for fault, injection in zip(self._faults, self._scenario.injections, strict=True):
            left = SYMPTOM_TIMEOUT - (time.time() - injection.start)
            if not wait_until(partial(is_present, self._lab, fault.symptom), left, POLL):
                raise TimedOut(f"{fault.name} shows no symptom after {SYMPTOM_TIMEOUT:g} s", fix="lab fault heal --all")
        time.sleep(SETTLE)

    def page(self) -> Page:
        """The current page: how long ago it started, and what users notice.

        Raises:
            UsageError: it has not started.
        """
        return self._scenario.page(time.time() - self._since())

    def wait_until_quiet(self, timeout: float = 60) -> Page:
        """Wait until users no longer notice anything. Returns the page.

        Raises:
            TimedOut: they still do after ``timeout`` seconds.
        """
        for _ in attempts(timeout, POLL):
            page = self.page()
            if not page.symptoms:
                return page
        raise TimedOut(f"users still notice after {timeout:g} s: {'; '.join(page.symptoms)}", fix="lab fault list")

    def snapshot(self) -> pd.DataFrame:
        """A few numbers from every layer, next to their steady-state values."""
        self._since()
        return self._scenario.snapshot()

    def users(self) -> pd.DataFrame:
        """Every finished request since the injection, by intended send time; latency in seconds."""
        return self._scenario.users(self._since()).records

    def _since(self) -> float:
        if not self._scenario.injections:
            raise UsageError("the incident has not started", fix="incident.start()")
        return self._scenario.injections[0].start

    def close(self) -> None:
        """Stop the load and heal whatever is still broken."""
        self._scenario.end()
