"""The result of a game."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from labs.course.gameday.leaderboard import Entry
from labs.course.gameday.mystery import Mystery
from labs.course.gameday.replay import Replay
from labs.course.gameday.score import Diagnosis, Score
from labs.course.render import render


@dataclass(frozen=True)
class GameResult:
    """``seconds`` from the injection to the diagnosis; ``seed`` replays the same game."""

    mystery: Mystery
    diagnosis: Diagnosis
    score: Score
    hints: int
    seconds: float
    seed: int
    replay: Replay = field(repr=False)

    def entry(self, player: str, level: int) -> Entry:
        """This game's line on the leaderboard."""
        return Entry(
            player=player,
            level=level,
            points=self.score.total,
            seconds=round(self.seconds, 1),
            hints=self.hints,
            layer=self.score.layer > 0,
            object=self.score.object > 0,
            repair=self.score.repair > 0,
            fault=self.mystery.fault.name,
            seed=self.seed,
            when=round(time.time(), 1),
        )

    @property
    def headline(self) -> str:
        return f"{self.score.total} points. It was {self.mystery.fault.name}: {self.mystery.fault.title}"

    def rows(self) -> list[tuple[str, str, str, int]]:
        """(what, said, right, points)"""
        fault, said, points = self.mystery.fault, self.diagnosis, self.score
        return [
            ("layer", said.layer, fault.layer, points.layer),
            ("object", said.object, fault.object, points.object),
            ("repair", said.repair, f"{self.mystery.right_letter}: {fault.repair}", points.repair),
            ("hints", str(self.hints), "", points.hints),
            ("time", f"{self.seconds:.0f} s", "", points.time),
        ]

    def __str__(self) -> str:
        lines = [self.headline]
        for what, said, right, points in self.rows():
            lines.append(f"  {what:7} {points:+4}  you said: {said}{f'; right: {right}' if right else ''}")
        return "\n".join([*lines, f"  play it again with seed={self.seed}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render("game_result.html.j2", headline=self.headline, rows=self.rows(), seed=self.seed)
