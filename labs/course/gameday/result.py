"""What came of a game."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, field

from labs.course.gameday.leaderboard import Entry
from labs.course.gameday.mystery import Mystery
from labs.course.gameday.replay import Replay
from labs.course.gameday.score import Diagnosis, Score


@dataclass(frozen=True)
class GameResult:
    """``seconds`` from the injection to the diagnosis; ``seed`` plays the same game again."""

    mystery: Mystery
    diagnosis: Diagnosis
    score: Score
    hints: int
    seconds: float
    seed: int
    replay: Replay = field(repr=False)

    def entry(self, player: str, level: int) -> Entry:
        """This game's line on the leaderboard."""
        right = self.score
        return Entry(
            player, level, right.total, round(self.seconds, 1), self.hints, right.plane > 0, right.object > 0, right.repair > 0,
            self.mystery.fault.name, self.seed, round(time.time(), 1),
        )  # fmt: skip

    def rows(self) -> list[tuple[str, str, str, int]]:
        """(what, said, right, points)"""
        fault, said, points = self.mystery.fault, self.diagnosis, self.score
        return [
            ("plane", said.plane, fault.plane, points.plane),
            ("object", said.object, fault.object, points.object),
            ("repair", said.repair, f"{self.mystery.right_letter}: {fault.repair}", points.repair),
            ("hints", str(self.hints), "", points.hints),
            ("time", f"{self.seconds:.0f} s", "", points.time),
        ]

    def __str__(self) -> str:
        lines = [f"{self.score.total} points. It was {self.mystery.fault.name}: {self.mystery.fault.title}"]
        for what, said, right, points in self.rows():
            lines.append(f"  {what:7} {points:+4}  you said: {said}{f'; right: {right}' if right else ''}")
        return "\n".join([*lines, f"  play it again with seed={self.seed}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "<tr><th></th><th>you said</th><th>right</th><th>points</th></tr>"
        cells = ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in self.rows()]
        title = f"{self.score.total} points. It was {self.mystery.fault.name}: {self.mystery.fault.title}"
        table = f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
        return f"<p><strong>{html.escape(title)}</strong></p>{table}<p>Play it again with <code>seed={self.seed}</code>.</p>"
