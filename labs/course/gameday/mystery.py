"""The failure of a game: drawn by seed from those of its level that this lab supports."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from labs.errors import UsageError
from labs.faults.catalogue import Fault, catalogue
from labs.faults.injectors import injector
from labs.session import Session

LEVELS = {1: "obvious", 2: "needs two layers", 3: "well hidden"}
CHOICES = 5
"""How many repairs a player chooses from, the right one included."""


@dataclass(frozen=True)
class Mystery:
    """The failure, and what a player chooses from: every object in the catalogue, and a few repairs by letter."""

    fault: Fault
    objects: tuple[str, ...]
    repairs: dict[str, str]

    @property
    def right_letter(self) -> str:
        return next(letter for letter, repair in self.repairs.items() if repair == self.fault.repair)


def possible(session: Session, level: int) -> list[Fault]:
    """The failures of a level that this lab supports, in the catalogue's order.

    Raises:
        UsageError: there is no such level.
    """
    if level not in LEVELS:
        known = ", ".join(f"{number} ({meaning})" for number, meaning in LEVELS.items())
        raise UsageError(f"expected a level: {known}; found {level!r}")
    return [
        fault for fault in catalogue().values() if fault.level == level and injector(fault).unsupported_reason(session) is None
    ]


def draw(faults: Sequence[Fault], seed: int) -> Mystery:
    """Draw a mystery: each failure has a number of its own for every seed, and the lowest wins.

    So a seed draws the same failure on every backend that supports it.
    """
    fault = min(faults, key=lambda one: random.Random(f"{seed} {one.name}").random())
    chance = random.Random(seed)
    others = sorted({other.repair for other in catalogue().values() if not _same_change(other, fault)} - {fault.repair})
    repairs = [fault.repair, *chance.sample(others, CHOICES - 1)]
    chance.shuffle(repairs)
    objects = sorted({other.object for other in catalogue().values()})
    return Mystery(fault, tuple(objects), dict(zip("ABCDE", repairs, strict=True)))


def _same_change(one: Fault, other: Fault) -> bool:
    """Both change the same object: undoing the change repairs either, so the other's repair would be right too."""
    return "target" in one.options and one.options["target"] == other.options.get("target")
