"""What a diagnosis is worth."""

from __future__ import annotations

from dataclasses import dataclass

from labs.course.gameday.mystery import Mystery
from labs.errors import NotFound, UsageError
from labs.faults.catalogue import LAYERS

POINTS = {"layer": 40, "object": 30, "repair": 30}
HINT = 10
"""Points a hint costs."""
FREE = 60.0
"""Seconds that cost nothing: enough to look at every layer once."""
SECONDS_PER_POINT = 15.0
MAX_TIME_COST = 30
"""The most points that time can cost: a right answer is always worth something."""


@dataclass(frozen=True)
class Diagnosis:
    """A player's answer: the layer where it starts, the object that broke, the letter of the repair."""

    layer: str
    object: str
    repair: str

    def check(self, mystery: Mystery) -> None:
        """Reject invalid choices: a typo must not cost points.

        Raises:
            NotFound, UsageError: a part of it is not a valid choice.
        """
        if self.layer not in LAYERS:
            raise NotFound("layer", self.layer, LAYERS)
        if self.object not in mystery.objects:
            raise NotFound("object", self.object, mystery.objects, fix="game.choices()")
        if self.repair not in mystery.repairs:
            raise UsageError(f"expected the letter of a repair, {', '.join(mystery.repairs)}; found {self.repair!r}")


@dataclass(frozen=True)
class Score:
    """Points per part; ``hints`` and ``time`` are zero or negative."""

    layer: int
    object: int
    repair: int
    hints: int
    time: int

    @property
    def total(self) -> int:
        """Never below zero."""
        return max(0, self.layer + self.object + self.repair + self.hints + self.time)


def grade(mystery: Mystery, diagnosis: Diagnosis, hints: int, seconds: float) -> Score:
    """Each part counts on its own: the right layer is worth something even if the object is wrong."""
    fault = mystery.fault
    late = min(MAX_TIME_COST, int(max(0.0, seconds - FREE) // SECONDS_PER_POINT))
    return Score(
        POINTS["layer"] * (diagnosis.layer == fault.layer),
        POINTS["object"] * (diagnosis.object == fault.object),
        POINTS["repair"] * (diagnosis.repair == mystery.right_letter),
        -HINT * hints,
        -late,
    )
