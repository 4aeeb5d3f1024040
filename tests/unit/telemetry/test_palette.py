"""The series of every chart can be told apart and read, whatever eyes or printer they meet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest

from labs.course.control_room import live_chart
from labs.telemetry import palette
from labs.telemetry.charts import LEGIBLE
from labs.telemetry.palette import FAINT, INK, PALETTE, PAPER, SHADE, SHADE_ALPHA, SHADE_EDGE, SHADE_TEXT
from tests.support.colours import VISIONS, Vision, blend, contrast, distance

TEXT, SHAPE = 4.5, 3.0
"""WCAG 2.2: 1.4.3 and 1.4.11."""
APART = 20.0
SHADED = blend(SHADE, PAPER, SHADE_ALPHA)
Series = tuple[str, Any]
"""A colour, and a dash or a marker."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

CHARTS: dict[str, list[Series]] = {
    "lines": [(palette.colour(n), palette.dash(n)) for n in range(LEGIBLE)],
    "points": [(palette.colour(n), palette.marker(n)) for n in range(LEGIBLE)],
    "control room": [(PALETTE[n], live_chart.DASHES[n]) for n in range(max(len(panel.series) for panel in live_chart.PANELS))],
}


def alike(series: Sequence[Series], vision: Vision) -> list[tuple[int, int]]:
    """The pairs that neither colour nor shape tells apart."""
    return [
        (one, other)
        for (one, a), (other, b) in combinations(enumerate(series), 2)
        if a[1] == b[1] and distance(a[0], b[0], vision) < APART
    ]


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("chart", CHARTS)
def test_any_two_series_of_a_chart_differ(chart: str, vision: Vision) -> None:
    assert alike(CHARTS[chart], vision) == []


@pytest.mark.parametrize(
    ("vision", "seen"),
    [("deuteranopia", [(1, 5)]), ("tritanopia", []), ("grey", [(0, 4), (1, 5), (2, 6)])],
)
def test_series_with_the_same_dash_and_similar_colours_are_seen(vision: Vision, seen: list[tuple[int, int]]) -> None:
    """The palette of Okabe and Ito with four dashes, as the charts once had it."""
    before = [(colour, "-:.="[number % 4]) for number, colour in enumerate(OKABE_ITO)]
    found = alike(before, vision)
    assert set(found) <= set(seen) and bool(found) == bool(seen)


@pytest.mark.parametrize("paper", [PAPER, SHADED])
def test_text_and_lines_stand_out(paper: str) -> None:
    texts, shapes = (INK, FAINT, SHADE_TEXT), (*PALETTE, FAINT, SHADE_EDGE)
    assert [colour for colour in texts if contrast(colour, paper) < TEXT] == []
    assert [colour for colour in shapes if contrast(colour, paper) < SHAPE] == []


def test_pale_colours_are_seen() -> None:
    assert [colour for colour in OKABE_ITO if contrast(colour, PAPER) < SHAPE] == ["#56B4E9", "#E69F00"]
    assert contrast("#000", "#FFFFFF") == pytest.approx(21) and contrast("#767676", "#FFF") == pytest.approx(4.54, abs=0.01)


def test_a_colour_is_simulated() -> None:
    """Red and green of the same lightness: one colour to a deuteranope, two to everybody else."""
    red, green = "#C04A00", "#7A7200"
    assert distance(red, green, "deuteranopia") < APART < distance(red, green, "normal")
