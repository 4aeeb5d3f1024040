"""What a diagnosis is worth."""

from __future__ import annotations

from dataclasses import dataclass

from labs.course.gameday.mystery import Mystery
from labs.errors import NotFound, UsageError
from labs.faults.catalogue import PLANES

POINTS = {"plane": 40, "object": 30, "repair": 30}
HINT = 10
"""Points a hint costs."""
FREE = 60.0
"""Seconds that cost nothing: so long it takes to look at every plane once."""
SECONDS_A_POINT = 15.0
SLOWEST = 30
"""Points that time can cost at most: a right answer is never worth nothing."""


@dataclass(frozen=True)
class Diagnosis:
    """What a player says: the plane it comes from, the object that broke, the letter of the repair."""

    plane: str
    object: str
    repair: str

    def check(self, mystery: Mystery) -> None:
        """Refuse words that are no choice; a typing mistake must not cost points.

        Raises:
            NotFound, UsageError: which word is none.
        """
        if self.plane not in PLANES:
            raise NotFound("plane", self.plane, PLANES)
        if self.object not in mystery.objects:
            raise NotFound("object", self.object, mystery.objects, fix="game.choices()")
        if self.repair not in mystery.repairs:
            raise UsageError(f"expected the letter of a repair, {', '.join(mystery.repairs)}; found {self.repair!r}")


@dataclass(frozen=True)
class Score:
    """Points by what they are for; those for hints and time are zero or below."""

    plane: int
    object: int
    repair: int
    hints: int
    time: int

    @property
    def total(self) -> int:
        """Never below zero."""
        return max(0, self.plane + self.object + self.repair + self.hints + self.time)


def grade(mystery: Mystery, diagnosis: Diagnosis, hints: int, seconds: float) -> Score:
    """Each part counts for itself: the right plane is worth something even if the object is wrong."""
    fault = mystery.fault
    late = min(SLOWEST, int(max(0.0, seconds - FREE) // SECONDS_A_POINT))
    return Score(
        POINTS["plane"] * (diagnosis.plane == fault.plane),
        POINTS["object"] * (diagnosis.object == fault.object),
        POINTS["repair"] * (diagnosis.repair == mystery.right_letter),
        -HINT * hints,
        -late,
    )
