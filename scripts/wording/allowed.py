"""How many of each unwanted word are left: ``docs/terms-allowed.toml``. The numbers only fall."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from labs import config
from labs.errors import UsageError

ALLOWED = config.ROOT / "docs" / "terms-allowed.toml"
HEAD = """\
# How many of each word of docs/terms.toml the project still has. Counts of the whole project, so that moving a file changes none.
# `scripts/terms --shrink` lowers them; nothing raises them.
"""


def load(path: Path = ALLOWED) -> dict[str, int]:
    """Word → how many are left; a word that is not listed has none.

    Raises:
        UsageError: a number is none, or below one.
    """
    counts = tomllib.loads(path.read_text())
    for word, count in counts.items():
        if type(count) is not int or count < 1:
            raise UsageError(f"{path.name}: expected a whole number from 1 for {word}; found {count!r}", fix="delete the line")
    return counts


def too_many(found: Mapping[str, int], allowed: Mapping[str, int]) -> dict[str, int]:
    """Words of which there are more than allowed → how many more."""
    return {word: count - allowed.get(word, 0) for word, count in found.items() if count > allowed.get(word, 0)}


def shrunk(found: Mapping[str, int], allowed: Mapping[str, int]) -> dict[str, int]:
    """The numbers after some words went away: never more than before, nothing at zero."""
    lower = {word: min(count, found.get(word, 0)) for word, count in allowed.items()}
    return {word: count for word, count in sorted(lower.items()) if count}


def text(counts: Mapping[str, int]) -> str:
    """The file's content."""
    return HEAD + "".join(f'"{word}" = {count}\n' for word, count in counts.items())
