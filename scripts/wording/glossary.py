"""``docs/glossary.md``, written from the word list."""

from __future__ import annotations

from collections.abc import Iterable

from labs import config
from scripts.wording.rules import Term

DOCUMENT = config.ROOT / "docs" / "glossary.md"
HEAD = """\
# Glossary

<!-- Written by `scripts/terms --write` from docs/terms.toml: change that, not this file. -->

The lab's words, in prose and in code. `scripts/terms` finds the ones in the last column; what to write instead of awkward phrases
is in [terms.toml](terms.toml) too.

| term | meaning | instead of |
|---|---|---|
"""


def document(terms: Iterable[Term]) -> str:
    """The whole file; terms in alphabetical order."""
    rows = sorted(terms, key=lambda term: term.name.lower())
    return HEAD + "".join(f"| {term.name} | {term.meaning} | {', '.join(rule.avoid for rule in term.rules)} |\n" for term in rows)
