"""What games and incidents have in common: users, a steady state, and then something breaks in secret."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from labs.course.gameday import pager
from labs.course.gameday.pager import Page
from labs.errors import UsageError
from labs.faults import lifecycle
from labs.faults.catalogue import Fault
from labs.faults.injectors.base import Parameters
from labs.journal import Injection
from labs.telemetry import timeline
from labs.telemetry.load import Load
from labs.telemetry.load_result import LoadResult

if TYPE_CHECKING:
    from labs.lab import Lab

RPS = 5.0
LONGEST = 1800.0
"""Seconds of load; a longer scenario continues without users."""
STEADY = 12.0
"""Seconds of steady state before anything breaks, to compare graphs with."""


class Scenario:
    """Injects ``faults`` one after the other when it begins; ``parameters`` holds those of each fault, by its name."""

    def __init__(self, lab: Lab, faults: Sequence[Fault], parameters: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._lab, self._faults, self._parameters = lab, faults, parameters or {}
        self._load: Load | None = None
        self._steady = pd.DataFrame(columns=["layer", "now"])
        self.began = 0.0
        self.injections: list[Injection] = []

    def begin(self, steady: float) -> None:
        """Start the load, wait for ``steady`` seconds of steady state, then inject the faults. A failure leaves nothing behind.

        Raises:
            UsageError: something is already broken, or this backend does not support one of the faults.
        """
        if self._lab.active_faults():
            raise UsageError("something is already broken: start with a healthy lab", fix="lab fault heal --all")
        parameters = [self._prepare(fault) for fault in self._faults]
        self.began = time.time()
        # Evenly spaced, so that a pager with a five-second window does not page for a random gap between users.
        self._load = self._lab.load("chat", rps=RPS, seconds=LONGEST, timeout=8, arrivals="constant", wait=False)
        try:
            self._wait_for_users()
            time.sleep(steady)
            self._wait_for_users()  # another load may still have been inside the window
            self._steady = self._lab.snapshot()
            for fault, chosen in zip(self._faults, parameters, strict=True):
                self.injections.append(self._inject(fault, chosen))
        except BaseException:
            self.end()
            self.injections.clear()
            raise

    def _wait_for_users(self) -> None:
        self._lab.wait_until(f"sum(rate(response_total{{{timeline.CALLS}}}[5s])) > {0.9 * RPS}", timeout=60)

    def _prepare(self, fault: Fault) -> Parameters:
        return lifecycle.prepare(self._lab, fault.name, dict(self._parameters.get(fault.name, {})))[1]

    def _inject(self, fault: Fault, parameters: Parameters) -> Injection:
        return lifecycle.inject(self._lab, fault, parameters, secret=True, owned=True)

    def page(self, seconds: float, quiet: tuple[str, ...] = ()) -> Page:
        """The page ``seconds`` after the injection: what users notice now, or ``quiet`` if they notice nothing."""
        return Page(seconds, pager.symptoms(self._lab.servers, self._steady["now"]) or quiet)

    def snapshot(self) -> pd.DataFrame:
        """A row per indicator with its steady-state value, its current one, and whether it moved."""
        return self._lab.snapshot(self._steady)

    def users(self, since: float) -> LoadResult:
        """Every request since ``since`` (Unix time in seconds) that has finished."""
        assert self._load is not None, "not started"
        return self._load.so_far(since)

    def end(self) -> None:
        """Heal what is active and stop the load; harmless if that is already done."""
        active = {injection.id for injection in self._lab.active_faults()}
        try:
            for injection in reversed(self.injections):
                if injection.id in active:
                    lifecycle.heal(self._lab, injection)
        finally:
            if self._load:
                self._load.stop()
