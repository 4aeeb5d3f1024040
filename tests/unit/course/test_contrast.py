"""What the templates draw can be read: text has 4.5:1 on what is behind it, borders and lines have 3:1."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from labs.course.control_room import gpu_table, live_chart
from labs.course.control_room.history import History
from labs.course.control_room.readings import GpuReading
from labs.course.render import TEMPLATES
from labs.telemetry.palette import INK, PALETTE, PAPER
from tests.support.colours import contrast

TEXT, SHAPE = 4.5, 3.0
"""WCAG 2.2: 1.4.3 and 1.4.11."""
COLOUR = r"#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{3})\b"


def pale(template: str) -> list[str]:
    """The texts and lines of a template that do not stand out from white."""
    words = re.findall(rf"(?<![-\w])color: ?({COLOUR})", template)
    lines = re.findall(rf"(?:border[-\w]*: ?\d+px \w+ |(?<!fill-)stroke=\")({COLOUR})", template)
    lines += [colour for pair in re.findall(rf'"({COLOUR})" if .*? else "({COLOUR})"', template) for colour in pair]
    return [word for word in words if contrast(word, PAPER) < TEXT] + [line for line in lines if contrast(line, PAPER) < SHAPE]


DRAWN = sorted(path.name for kind in ("html", "svg") for path in TEMPLATES.glob(f"*.{kind}.j2"))


@pytest.mark.parametrize("name", DRAWN)
def test_what_a_template_draws_stands_out(name: str) -> None:
    # A white stroke is the rim that keeps a number apart from the line below it; the report has a test of its own.
    text = (TEMPLATES / name).read_text().replace('stroke="#fff"', "")
    assert pale(text) == [] or name == "report.html.j2"


@pytest.mark.parametrize(
    "template",
    [
        '<p style="color:#999">',
        '<div style="border:1px solid #56B4E9">',
        '<line stroke="#E69F00"/>',
        '{{ "#eee" if a else "#000" }}',
    ],
)
def test_pale_colours_are_seen(template: str) -> None:
    assert len(pale(template)) == 1


def test_in_the_control_room_a_name_is_in_ink_and_follows_a_sample_of_its_line() -> None:
    history = History()
    for at in range(100):
        history.add(float(at), {"answered": 6.0, "refused": 0.0, "failed": 0.0})
    drawn = list(ET.fromstring(live_chart.draw(history, 99.0, [], "A reading.")).iter())
    names = [element for element in drawn if (element.text or "") in ("answered 6", "refused 0", "failed 0")]
    assert [name.attrib["fill"] for name in names] == [INK] * 3, "the colour of a line is too pale for a word"

    def looks(kind: str) -> list[tuple[str, str]]:
        rows = [e.attrib for e in drawn if e.tag.endswith(kind) and e.attrib["stroke"] in PALETTE]
        return sorted((row["stroke"], row.get("stroke-dasharray", "")) for row in rows)

    assert looks("}line") == looks("}polyline") and len(set(looks("}line"))) == 3


def test_a_bar_ends_where_an_edge_is_even_if_its_fill_is_pale() -> None:
    text = gpu_table.draw([GpuReading("n", "0", "m", {"busy": 40.0})])
    (fill,) = re.findall(rf"background:({COLOUR});height:17px;width:40%", text)
    (edge,) = re.findall(rf"width:40%;box-sizing:border-box;border-right:3px solid ({COLOUR})", text)
    assert contrast(edge, fill) >= SHAPE and contrast(edge, PAPER) >= SHAPE and contrast("#222", fill) >= TEXT
    assert "border-right" not in gpu_table.draw([GpuReading("n", "0", "m", {"busy": 0.0})]), "nothing is no bar"
