"""Tables as HTML that a screen reader and a keyboard can use.

pandas leaves the header above the row names empty, and puts the name of an index into a row of its own with more empty headers;
a wide table scrolls in a box that only a mouse can reach. Both are mended here.
"""

from __future__ import annotations

import re

import pandas as pd
from markupsafe import Markup

from labs.telemetry.render import render

_HEAD = re.compile(r"<thead\b.*?</thead>", re.DOTALL)
_EMPTY = re.compile(r"<th\b[^>]*>\s*</th>")
_UNSCOPED = re.compile(r"<th\b(?![^>]*\bscope=)")
_NAMED = 4
"""Columns that the name of a table lists."""


def html(frame: pd.DataFrame, name: str = "") -> Markup:
    """The frame as pandas shows it in a notebook, in a region that scrolls; ``name`` is what a screen reader calls it."""
    plain = frame.rename_axis(index=None) if frame.index.nlevels == 1 else frame
    text = str(plain._repr_html_() or "")  # type: ignore[operator]
    if frame.index.name:
        text = _EMPTY.sub(lambda _: render("column.html.j2", name=frame.index.name), text, count=1)
    return scrollable(with_headers(text), name or _name(frame))


def with_headers(text: str) -> str:
    """Tables without empty header cells, each header saying what it heads."""
    text = _EMPTY.sub("<td></td>", text)
    text = _HEAD.sub(lambda head: _UNSCOPED.sub('<th scope="col"', head[0]), text)
    return _UNSCOPED.sub('<th scope="row"', text)


def scrollable(table: str, name: str) -> Markup:
    """``table`` (HTML) in a named box that scrolls sideways, with the arrow keys too."""
    return render("table.html.j2", table=Markup(table), name=name)


def _name(frame: pd.DataFrame) -> str:
    columns = [str(column) for column in frame.columns]
    more = ", …" if len(columns) > _NAMED else ""
    return f"Table: {', '.join(columns[:_NAMED])}{more}"
