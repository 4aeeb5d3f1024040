"""Tables and JSON as Linkerd prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, gap: int = 3, trailing: str = "") -> str:
    """Columns ``gap`` spaces apart, the first ``left`` of them left-aligned, the others right-aligned."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join((" " * gap).join(_aligned(line, widths, left)) + trailing for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    return [
        cell.ljust(width) if column < left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def to_json(value: Any) -> str:
    return json.dumps(value, indent=2)
