"""What tells the series of a chart apart: colours, dashes and markers that do not depend on each other.

Colours differ with every common colour blindness, dashes and markers without any colour. ``tests/unit/telemetry/test_palette.py``
simulates both.
"""

from __future__ import annotations

from typing import Literal

INK = "#222222"
"""Text. It is never in the colour of a series: those are dark enough for a line, not for a word."""
FAINT = "#555555"
"""Text and lines that are not data."""
PAPER = "#FFFFFF"
GRID = "#DDDDDD"

PALETTE = ("#0072B2", "#D55E00", "#00966D", "#9B4584", "#000000", "#7A5C00", "#5A4FCF")
"""The hues of Okabe and Ito, darkened where they have less than 3:1 on white or on the shade of a failure.

Source: https://jfly.uni-koeln.de/color/
"""
Dash = Literal["-"] | tuple[float, tuple[float, ...]]
STYLES: tuple[Dash, ...] = (
    "-",
    (0, (6, 2)),
    (0, (1.2, 1.4)),
    (0, (6, 2, 1.2, 2)),
    (0, (3, 1.5)),
    (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)),
    (0, (10, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

SHADE, SHADE_ALPHA = "#E69F00", 0.18
"""The span of a failure."""
SHADE_EDGE, SHADE_TEXT = "#8A6000", "#5C4000"


def colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def dash(number: int) -> Dash:
    return STYLES[number % len(STYLES)]


def marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]
