"""The doctor's findings, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One finding: what was checked, whether it is good, what was found, and how to fix it if it is not."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def as_rows(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """The findings as rows for JSON."""
    return [asdict(finding) for finding in findings]


def as_lines(findings: Iterable[Finding]) -> str:
    """The findings for a terminal: a mark, what was checked, what was found, and how to fix it."""
    lines = []
    for finding in findings:
        lines.append(f"{'✓' if finding.ok else '✗'} {finding.name}: {finding.found}")
        if not finding.ok:
            lines.append(f"    try: {finding.fix}")
    return "\n".join(lines)
