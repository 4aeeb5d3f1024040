"""Which failure a game has: drawn by a seed from those of its level that this lab can make."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from labs.errors import UsageError
from labs.faults.catalogue import Fault, catalogue
from labs.faults.injectors import injector
from labs.faults.injectors.base import Scene

LEVELS = {1: "seen at a glance", 2: "takes two planes", 3: "hides"}
CHOICES = 5
"""How many repairs stand for choice: the right one among them."""


@dataclass(frozen=True)
class Mystery:
    """The failure, and what a player chooses from: every object of the catalogue, and some repairs by letter."""

    fault: Fault
    objects: tuple[str, ...]
    repairs: dict[str, str]

    @property
    def right_letter(self) -> str:
        return next(letter for letter, repair in self.repairs.items() if repair == self.fault.repair)


def possible(scene: Scene, level: int) -> list[Fault]:
    """The failures of a level that this lab can make, in the catalogue's order.

    Raises:
        UsageError: there is no such level.
    """
    if level not in LEVELS:
        known = ", ".join(f"{number} ({words})" for number, words in LEVELS.items())
        raise UsageError(f"expected a level: {known}; found {level!r}")
    return [fault for fault in catalogue().values() if fault.level == level and injector(fault).refusal(scene) is None]


def draw(faults: Sequence[Fault], seed: int) -> Mystery:
    """The same seed draws the same mystery wherever that failure can be made, whatever else can: each has a number of its own."""
    fault = min(faults, key=lambda one: random.Random(f"{seed} {one.name}").random())
    chance = random.Random(seed)
    others = sorted({other.repair for other in catalogue().values() if not _same_change(other, fault)} - {fault.repair})
    repairs = [fault.repair, *chance.sample(others, CHOICES - 1)]
    chance.shuffle(repairs)
    objects = sorted({other.object for other in catalogue().values()})
    return Mystery(fault, tuple(objects), dict(zip("ABCDE", repairs, strict=True)))


def _same_change(one: Fault, other: Fault) -> bool:
    """Both are wrong changes of one object: undoing the change repairs either, so that the other's words are right as well."""
    return "target" in one.options and one.options["target"] == other.options.get("target")
