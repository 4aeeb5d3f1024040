"""Traces: when recorded requests came, and how long their prompts and answers were.

The format is that of Microsoft's Azure LLM inference traces (https://github.com/Azure/AzurePublicDataset): a CSV file with the
columns TIMESTAMP (a date and time, or seconds), ContextTokens and GeneratedTokens; the latter two may be missing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


class BadTrace(ValueError):
    """The text is not a valid trace; the message names the line."""


@dataclass(frozen=True)
class Arrival:
    """One request: ``due`` seconds after the first one; lengths of prompt and answer in tokens, if the trace has them."""

    due: float
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


def read(lines: Iterable[str], speed: float = 1.0) -> list[Arrival]:
    """The arrivals of a trace in order of time, sped up ``speed`` times.

    Raises:
        BadTrace: a column is missing, a value is not a time or number, or the trace is empty.
    """
    table = csv.DictReader(lines)
    if "TIMESTAMP" not in (table.fieldnames or ()):
        raise BadTrace(f"line 1: expected a header with the column TIMESTAMP; found {table.fieldnames}")
    rows = [_row(row, table.line_num) for row in table]
    if not rows:
        raise BadTrace("expected at least one request below the header; found none")
    first = min(due for due, _, _ in rows)
    return sorted((Arrival((due - first) / speed, *lengths) for due, *lengths in rows), key=lambda arrival: arrival.due)


def _row(row: dict[str, str], line: int) -> tuple[float, int | None, int | None]:
    try:
        return _seconds(row["TIMESTAMP"] or ""), _count(row.get("ContextTokens")), _count(row.get("GeneratedTokens"))
    except ValueError as error:
        raise BadTrace(f"line {line}: {error}") from None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def _count(text: str | None) -> int | None:
    if not text:
        return None
    if int(text) < 1:
        raise ValueError(f"expected a number of tokens of at least 1; found {text}")
    return int(text)
