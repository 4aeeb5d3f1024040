"""Notebook 12: a game was played to its end, and nothing is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.gameday import leaderboard

if TYPE_CHECKING:
    from labs.lab import Lab

PASSED = 50
"""More points than the right layer alone gives."""


@check("12.1", f"a game on this machine scored at least {PASSED} points", hint="game.diagnose(layer=…, object=…, repair=…)")
def a_game_was_won(lab: Lab) -> Finding:
    board = leaderboard.read(())
    if board.empty:
        return Finding(False, "no game was played to the end")
    best = board.iloc[0]
    return Finding(bool(best["points"] >= PASSED), f"the best, by {best['player']}, scored {best['points']} points")


@check("12.2", "nothing is broken any more", hint="lab fault heal --all")
def nothing_is_left(lab: Lab) -> Finding:
    active = [injection.label for injection in lab.active_faults()]
    return Finding(not active, f"still active: {', '.join(active)}" if active else "nothing")
