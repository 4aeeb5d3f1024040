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
from labs.course.gameday.score import Diagnosis
from labs.course.gameday.shift import STEADY, Shift
from labs.errors import UsageError
from labs.faults.catalogue import PLANES
from labs.faults.experiments import planes
from labs.faults.journal import Injection
from labs.telemetry import story

if TYPE_CHECKING:
    from labs.lab import Lab

UNNOTICED = ("no user complains, yet: find it before they do",)
"""That nobody complains is a symptom too."""


class GameDay:
    """A mystery failure to be found. ``start`` breaks something, ``diagnose`` ends the game and repairs it.

    Without ``seed`` one is drawn that the player does not see; afterwards the result tells it, so that the game can be
    played again. Whatever happens, ``lab fault heal --all`` ends what is broken.
    """

    def __init__(self, lab: Lab, level: int, player: str, seed: int | None = None) -> None:
        self._lab = lab
        self._seed = secrets.randbits(31) if seed is None else seed
        self._mystery = mystery.draw(mystery.possible(lab.scene, level), self._seed)
        self.level, self.player = level, player
        self.hints: list[str] = []
        self._shift = Shift(lab, [self._mystery.fault])
        self._over = False
        self.result: GameResult | None = None

    def start(self, steady: float = STEADY) -> Page:
        """Wait for a steady state of so many seconds, then break something. The first page.

        Raises:
            UsageError: the game has begun, or something is broken already.
        """
        if self._shift.injections or self.result:
            raise UsageError("the game has begun", fix="game.page()")
        self._shift.begin(steady)
        return self.page()

    @property
    def seconds(self) -> float:
        """Since the injection, or what the game took."""
        if self.result:
            return self.result.seconds
        return time.time() - self._running().start

    def _running(self) -> Injection:
        if self._shift.injections and not self._over:
            return self._shift.injections[0]
        raise UsageError("no game is running", fix="lab.game_day(level=1)" if self._over else "game.start()")

    def page(self) -> Page:
        """The pager as it is now: for how long, and what users notice."""
        self._running()
        return self._shift.page(self.seconds, UNNOTICED)

    def glance(self) -> pd.DataFrame:
        """A few numbers of every plane now, beside those of the steady state before the injection."""
        self._running()
        return self._shift.glance()

    def pager(self) -> Any:
        """The page as a widget that keeps itself up to date until the game ends."""
        from labs.course.gameday.timer import live

        return live(self)

    def hint(self) -> str:
        """The next place to look at; each costs points.

        Raises:
            UsageError: there are no more.
        """
        self._running()
        places = self._mystery.fault.look
        if len(self.hints) == len(places):
            raise UsageError(f"there are {len(places)} hints, and you had them all")
        self.hints.append(places[len(self.hints)])
        return f"{self.hints[-1]} (-{score.HINT} points)"

    def choices(self) -> str:
        """What a diagnosis may name: planes, objects, and repairs by their letters."""
        lines = ["planes:  " + ", ".join(PLANES), "objects: " + "\n         ".join(self._mystery.objects), "repairs:"]
        return Text("\n".join(lines + [f"      {letter}: {repair}" for letter, repair in self._mystery.repairs.items()]))

    def diagnose(self, plane: str, object: str, repair: str) -> GameResult:
        """Say what it is. The game ends, everything is repaired, and the result goes to the leaderboard.

        Raises:
            NotFound, UsageError: a word that is no choice (the game goes on).
        """
        injection, diagnosis = self._running(), Diagnosis(plane, object, repair)
        diagnosis.check(self._mystery)
        seconds = time.time() - injection.start
        graded = score.grade(self._mystery, diagnosis, len(self.hints), seconds)
        replay = self._replay(injection)
        self._end()
        self.result = GameResult(self._mystery, diagnosis, graded, len(self.hints), seconds, self._seed, replay)
        leaderboard.append(self.result.entry(self.player, self.level))
        return self.result

    def give_up(self) -> None:
        """End the game without a result, and repair everything."""
        self._running()
        self._end()

    def _end(self) -> None:
        self._over = True
        self._shift.end()

    def _replay(self, injection: Injection) -> Replay:
        servers, span = self._lab.prometheus_servers(), time.time() - self._shift.began
        frames = {}
        for row in planes.INDICATORS:
            frame = servers[row.cluster].query(row.promql, last=span, step=1)
            frames[row.what] = frame.iloc[:, 0] if frame.shape[1] else pd.Series(dtype="float64", index=frame.index)
        panels = tuple(story.panels(servers, span))
        return Replay(self._shift.began, injection.start, time.time(), frames, panels, injection.window())

    def __repr__(self) -> str:
        state = "over" if self._over else "running: game.page()" if self._shift.injections else "not begun: game.start()"
        return f"<game day of {self.player}, level {self.level} ({mystery.LEVELS[self.level]}), {state}>"


class Text(str):
    """Text that a notebook shows as it is, line by line."""

    def __repr__(self) -> str:
        return str(self)
