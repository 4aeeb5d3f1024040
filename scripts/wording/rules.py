"""The word list, ``docs/terms.toml``: terms with their meaning, and what they replace."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labs import config
from labs.errors import UsageError

TERMS = config.ROOT / "docs" / "terms.toml"
FIELDS = {
    "term": {"name": str, "meaning": str, "instead_of": list, "unless": list},
    "phrase": {"use": str, "instead_of": list, "unless": list},
}
"""The fields of each kind of table, with their type; ``unless`` may be left out."""


@dataclass(frozen=True)
class Rule:
    """One word or phrase that is not used, and what to write instead."""

    avoid: str
    """With a capital letter anywhere it is an identifier, matched as written; otherwise it is matched in any case."""
    use: str
    unless: tuple[str, ...] = ()
    """Regular expressions of what may stand: they are taken out of a line before the word is looked for."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The word by itself, as a part of a snake_case name, or as a part of a CamelCase name."""
        word = re.escape(self.avoid)
        if self.avoid != self.avoid.lower():
            return re.compile(rf"(?<![A-Za-z_]){word}(?![A-Za-z_])")
        camel = re.escape(self.avoid[0].upper() + self.avoid[1:])
        return re.compile(rf"(?<![A-Za-z])(?i:{word})(?![A-Za-z])|(?<=[a-z]){camel}(?![a-z])|(?<![A-Z]){camel}(?=[A-Z][a-z])")

    @cached_property
    def exceptions(self) -> re.Pattern[str] | None:
        return re.compile("|".join(self.unless), re.IGNORECASE) if self.unless else None

    def count(self, line: str) -> int:
        """How often the line has the word where it should not."""
        if self.exceptions:
            line = self.exceptions.sub(" ", line)
        return sum(1 for _ in self.pattern.finditer(line))


@dataclass(frozen=True)
class Term:
    """A word of the glossary; ``rules`` are the words it replaces."""

    name: str
    meaning: str
    rules: tuple[Rule, ...]


def load(path: Path = TERMS) -> tuple[list[Term], list[Rule]]:
    """The glossary's terms, and all rules: those of the terms, then the phrases.

    Raises:
        UsageError: a table has an unknown, missing or ill-typed field, or two rules are about the same word.
    """
    document = tomllib.loads(path.read_text())
    for kind in document.keys() - FIELDS.keys():
        raise UsageError(f"{path.name}: expected the tables {', '.join(FIELDS)}; found {kind}")
    terms = [Term(row["name"], row["meaning"], _rules(row, row["name"])) for row in _rows(document, "term", path)]
    phrases = [rule for row in _rows(document, "phrase", path) for rule in _rules(row, row["use"])]
    rules = [rule for term in terms for rule in term.rules] + phrases
    _refuse_twice([rule.avoid for rule in rules], path)
    return terms, rules


def _rows(document: dict[str, Any], kind: str, path: Path) -> Iterable[dict[str, Any]]:
    fields = FIELDS[kind]
    for row in document.get(kind, []):
        unless = {"unless": [], **row}
        if unless.keys() != fields.keys() or not all(isinstance(unless[name], of) for name, of in fields.items()):
            raise UsageError(f"{path.name}: expected a [[{kind}]] with {', '.join(fields)}; found {row}")
        yield unless


def _rules(row: dict[str, Any], use: str) -> tuple[Rule, ...]:
    return tuple(Rule(avoid, use, tuple(row["unless"])) for avoid in row["instead_of"])


def _refuse_twice(words: list[str], path: Path) -> None:
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise UsageError(f"{path.name}: expected one rule for a word; found more for {', '.join(twice)}")
