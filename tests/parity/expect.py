"""Patterns for recorded answers: what a name, a time or an address may be without being a difference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """Text that matches a regular expression as a whole; ``shown`` is how the table writes it."""

    pattern: str
    shown: str = ""

    def matches(self, answer: Any) -> bool:
        return isinstance(answer, str) and re.fullmatch(self.pattern, answer, re.DOTALL) is not None

    def __str__(self) -> str:
        return self.shown or self.pattern


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float
    unit: str = ""

    def matches(self, answer: Any) -> bool:
        return isinstance(answer, int | float) and self.low <= answer <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Including:
    """A collection with at least these members."""

    members: tuple[str, ...]

    def matches(self, answer: Any) -> bool:
        return isinstance(answer, list | tuple | set | frozenset) and set(self.members) <= set(answer)

    def __str__(self) -> str:
        return f"among others {', '.join(self.members)}"


def including(*members: str) -> Including:
    """A collection with at least these members."""
    return Including(members)


def containing(*parts: str) -> Text:
    """Text with these parts in this order."""
    return Text(".*" + ".*".join(re.escape(part) for part in parts) + ".*", f"… {' … '.join(parts)} …")


def same(real: Any, answer: Any) -> bool:
    """Whether an answer is what the real one answered."""
    if isinstance(real, Text | Between | Including):
        return real.matches(answer)
    if isinstance(real, Mapping):
        return isinstance(answer, Mapping) and real.keys() == answer.keys() and all(same(real[k], answer[k]) for k in real)
    if isinstance(real, list | tuple):
        return isinstance(answer, list | tuple) and len(real) == len(answer) and all(map(same, real, answer))
    return bool(real == answer) and isinstance(real, bool) == isinstance(answer, bool)


def shown(value: Any) -> str:
    """A recorded or given answer on one line, as the table has it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(part)}" for key, part in value.items()) or "nothing"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(shown(part) for part in value) + "]"
    if value is None or value == "":
        return "none"
    return " ".join(str(value).split())
