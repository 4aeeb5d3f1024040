"""One game, from the first page to the leaderboard."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import pandas as pd

from labs.course.gameday import leaderboard, mystery, score
from labs.course.gameday.pager import Page
from labs.course.gameday.replay import Replay
from labs.course.gameday.result import GameResult
from labs.course.gameday.scenario import STEADY, Scenario
from labs.course.gameday.score import Diagnosis
from labs.errors import UsageError
from labs.faults.catalogue import LAYERS
from labs.faults.experiments import layers
from labs.journal import Injection
from labs.telemetry import timeline

if TYPE_CHECKING:
    from labs.lab import Lab

UNNOTICED = ("no user complains yet: find it before they do",)
"""What the page says while users notice nothing."""


class GameDay:
    """A mystery failure to find. ``start`` breaks something; ``diagnose`` ends the game and repairs it.

    Without a ``seed``, a secret one is drawn; the result reveals it, so that the game can be replayed. ``lab fault heal --all``
    always repairs everything.
    """

    def __init__(self, lab: Lab, level: int, player: str, seed: int | None = None) -> None:
        self._lab = lab
        self._seed = secrets.randbits(31) if seed is None else seed
        self._mystery = mystery.draw(mystery.possible(lab, level), self._seed)
        self.level, self.player = level, player
        self.hints: list[str] = []
        self._scenario = Scenario(lab, [self._mystery.fault])
        self._over = False
        self.result: GameResult | None = None

    def start(self, steady: float = STEADY) -> Page:
        """Wait for ``steady`` seconds of steady state, then break something. Returns the first page.

        Raises:
            UsageError: the game has already started, or something is already broken.
        """
        if self._scenario.injections or self.result:
            raise UsageError("the game has already started", fix="game.page()")
        self._scenario.begin(steady)
        return self.page()

    @property
    def seconds(self) -> float:
        """Seconds since the injection; once the game is over, how long it took."""
        if self.result:
            return self.result.seconds
        return time.time() - self._running().start

    def _running(self) -> Injection:
        if self._scenario.injections and not self._over:
            return self._scenario.injections[0]
        raise UsageError("no game is running", fix="lab.game_day(level=1)" if self._over else "game.start()")

    def page(self) -> Page:
        """The current page: how long ago it started, and what users notice."""
        self._running()
        return self._scenario.page(self.seconds, UNNOTICED)

    def snapshot(self) -> pd.DataFrame:
        """A few numbers from every layer, next to their steady-state values."""
        self._running()
        return self._scenario.snapshot()

    def pager(self) -> Any:
        """The page as a widget that updates itself until the game ends."""
        from labs.course.gameday.timer import live

        return live(self)

    def hint(self) -> str:
        """The next place to look; each hint costs points.

        Raises:
            UsageError: there are no more hints.
        """
        self._running()
        places = self._mystery.fault.look
        if len(self.hints) == len(places):
            raise UsageError(f"there are only {len(places)} hints, and you have seen them all")
        self.hints.append(places[len(self.hints)])
        return f"{self.hints[-1]} (-{score.HINT} points)"

    def choices(self) -> str:
        """What a diagnosis can name: layers, objects, and repairs by letter."""
        lines = ["layers:  " + ", ".join(LAYERS), "objects: " + "\n         ".join(self._mystery.objects), "repairs:"]
        return Text("\n".join(lines + [f"      {letter}: {repair}" for letter, repair in self._mystery.repairs.items()]))

    def diagnose(self, layer: str, object: str, repair: str) -> GameResult:
        """Name the failure. The game ends, everything is repaired, and the result goes to the leaderboard.

        Raises:
            NotFound, UsageError: an invalid choice; the game continues.
        """
        injection, diagnosis = self._running(), Diagnosis(layer, object, repair)
        diagnosis.check(self._mystery)
        seconds = time.time() - injection.start
        graded = score.grade(self._mystery, diagnosis, len(self.hints), seconds)
        replay = self._replay(injection)
        self._end()
        self.result = GameResult(self._mystery, diagnosis, graded, len(self.hints), seconds, self._seed, replay)
        leaderboard.append(self.result.entry(self.player, self.level))
        return self.result

    def give_up(self) -> None:
        """End the game without a result and repair everything."""
        self._running()
        self._end()

    def _end(self) -> None:
        self._over = True
        self._scenario.end()

    def _replay(self, injection: Injection) -> Replay:
        servers, span = self._lab.servers, time.time() - self._scenario.began
        frames = {}
        for row in layers.INDICATORS:
            frame = servers[row.cluster].query(row.promql, last=span, step=1)
            frames[row.name] = frame.iloc[:, 0] if frame.shape[1] else pd.Series(dtype="float64", index=frame.index)
        panels = tuple(timeline.panels(servers, span))
        return Replay(self._scenario.began, injection.start, time.time(), frames, panels, injection.window())

    def __repr__(self) -> str:
        state = "over" if self._over else "running: game.page()" if self._scenario.injections else "not started: game.start()"
        return f"<game day of {self.player}, level {self.level} ({mystery.LEVELS[self.level]}), {state}>"


class Text(str):
    """Text that a notebook shows verbatim."""

    def __repr__(self) -> str:
        return str(self)
