"""The table: on a terminal, for programs, and as ``docs/parity.md``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from labs import config
from tests.parity import expect
from tests.parity.rows import Row, Topic
from tests.parity.runner import Outcome

DOCUMENT = config.ROOT / "docs" / "parity.md"
HEADINGS = {"linkerd": "Linkerd and the stand-in mesh", "kubelet": "A kubelet and the embedded backend's nodes"}
PREFACE = """\
# What is the same, what differs, what is missing

<!-- Written by `scripts/parity --write` from the rows under tests/parity/topics: change those, not this file. -->

On the embedded backend the mesh is a stand-in and a node is a process. Each row below is a program: it asks a running lab and
compares the answer with the recorded answer of a real Linkerd (edge-26.8.3) or a real kubelet (1.37); the source is an excerpt
of that recording. Where nothing was recorded, the source says `documented` and names the page of Linkerd's documentation, or the
file of its source, that the answer comes from. The last column says how the embedded backend compares; a test runs every row and
fails when that is not true, in either direction. On the other backends Linkerd and the kubelet are real: `scripts/parity` asks
them the same questions and prints the same table.

Differences by design, whatever a row says, are in [embedded-differences.md](embedded-differences.md) for nodes and in
[mesh-standin.md](mesh-standin.md) for the mesh and its command.
"""


def word(outcome: Outcome, real_backend: bool) -> str:
    """What the table says of an outcome: its verdict, and whether that was expected."""
    if outcome.error:
        return "not asked"
    if outcome.same:
        return "same" if real_backend or outcome.row.verdict == "same" else f"same (declared: {outcome.row.verdict})"
    return "DIFFERS" if real_backend or outcome.row.verdict == "same" else outcome.row.verdict


def table(outcomes: Sequence[Outcome], real_backend: bool) -> Table:
    """A row per outcome; recorded and given answers are spelled out where they are not the same."""
    found = Table("row", "asked", "recorded", "here", "verdict", "s", box=None)
    for outcome in outcomes:
        here = outcome.error.strip().rpartition("\n")[2] if outcome.error else expect.shown(outcome.answer)
        cells = [outcome.row.id, outcome.row.asked, expect.shown(outcome.row.real), "=" if outcome.same else here]
        found.add_row(*cells, word(outcome, real_backend), f"{outcome.seconds:.0f}")
    return found


def summary(outcomes: Sequence[Outcome], real_backend: bool) -> str:
    """One line: how many rows of each verdict."""
    counted = Counter(word(outcome, real_backend) for outcome in outcomes)
    return f"{len(outcomes)} rows: " + ", ".join(f"{number} {name}" for name, number in counted.most_common())


def as_json(outcomes: Sequence[Outcome], real_backend: bool) -> str:
    """A list of objects, one per row."""
    return json.dumps([_object(outcome, real_backend) for outcome in outcomes], default=str, indent=1)


def _object(outcome: Outcome, real_backend: bool) -> dict[str, Any]:
    row = outcome.row
    return {
        "row": row.id,
        "asked": row.asked,
        "recorded": expect.shown(row.real),
        "source": row.source,
        "answer": outcome.answer,
        "verdict": word(outcome, real_backend),
        "declared": row.verdict,
        "reason": row.reason,
        "seconds": round(outcome.seconds, 1),
        "error": outcome.error,
    }


def document(topics: Sequence[Topic]) -> str:
    """``docs/parity.md``: every row with its recorded answer, its source and what is declared for the embedded backend."""
    parts = [PREFACE, _counts(topics)]
    for subject, heading in HEADINGS.items():
        parts.append(f"\n## {heading}\n")
        parts += [_section(topic) for topic in topics if topic.subject == subject]
    return "\n".join(parts).rstrip() + "\n"


def _counts(topics: Sequence[Topic]) -> str:
    lines = ["| | rows | same | differs | missing |", "|---|---|---|---|---|"]
    for subject in HEADINGS:
        counted = Counter(row.verdict for topic in topics if topic.subject == subject for row in topic.rows)
        lines.append(f"| {subject} | {sum(counted.values())} | {counted['same']} | {counted['differs']} | {counted['missing']} |")
    return "\n".join(lines)


def _section(topic: Topic) -> str:
    lines = [f"### {topic.title}\n", "| row | asked | a real one | source | embedded |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_line(row) for row in topic.rows]) + "\n"


def _source(row: Row) -> str:
    """The source, as a link where it is a recording."""
    if row.recording is None:
        return row.source
    return f"[{row.source}](../{row.recording.relative_to(config.ROOT)})"


def _line(row: Row) -> str:
    verdict = row.verdict + (f": {row.reason}" if row.reason else "")
    cells = [f"`{row.id}`", row.asked, expect.shown(row.real), _source(row), verdict]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"
