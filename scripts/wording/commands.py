"""The command ``scripts/terms``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from labs.errors import LabError
from scripts.wording import allowed, findings, glossary, rules, texts
from scripts.wording.findings import Finding

NOT_MISSPELT = ("notin", "erro", "couldn", "redict", "ine")
"""Words that codespell does not know: operators of Kubernetes, levels of a log, halves of words in tests."""
SHOWN = 30
"""Findings of one word that are printed."""


@click.command()
@click.option("--write", is_flag=True, help="Write docs/glossary.md from docs/terms.toml.")
@click.option("--shrink", is_flag=True, help="Lower the numbers in docs/terms-allowed.toml to what is left.")
@click.option("--all", "everything", is_flag=True, help="Also print the occurrences that are still allowed.")
def terms(write: bool, shrink: bool, everything: bool) -> None:
    """Check the project's words: unwanted ones, and slips of spelling."""
    glossary_terms, word_rules = rules.load()
    if write:
        glossary.DOCUMENT.write_text(glossary.document(glossary_terms))
        return
    lines = list(texts.lines())
    found = findings.words(lines, word_rules)
    counts, before = findings.counted(found), allowed.load()
    if shrink:
        allowed.ALLOWED.write_text(allowed.text(allowed.shrunk(counts, before)))
    unwanted = allowed.too_many(counts, before)
    misspelt = findings.spelling(lines, NOT_MISSPELT)
    _print(found if everything else [finding for finding in found if finding.avoid in unwanted], misspelt)
    if unwanted or misspelt:
        raise LabError(_summary(unwanted, before, misspelt), fix="the words that docs/glossary.md has, then scripts/terms")
    click.echo(
        f"terms: {len(word_rules)} words checked; {sum(counts.values())} occurrences of {len(counts)} are left from before"
    )


def _print(found: Sequence[Finding], misspelt: Sequence[Finding]) -> None:
    for word in sorted({finding.avoid for finding in found}):
        of_word = [finding for finding in found if finding.avoid == word]
        for finding in of_word[:SHOWN]:
            click.echo(finding)
        if len(of_word) > SHOWN:
            click.echo(f"… and {len(of_word) - SHOWN} more of “{word}”")
    for finding in misspelt:
        click.echo(finding)


def _summary(unwanted: dict[str, int], before: dict[str, int], misspelt: Sequence[Finding]) -> str:
    more = [f"{count} “{word}” more than the {before.get(word, 0)} allowed" for word, count in unwanted.items()]
    return "; ".join(more + ([f"{len(misspelt)} misspelt"] if misspelt else []))
