"""What the prose of an executed notebook claims, against the outputs in the file.

A claim's test quotes its sentence with ``says``, so that neither the prose nor the outputs can change without the other.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import nbformat
import pandas as pd

from labs.course.notebooks import find


@dataclass
class _Tables(HTMLParser):
    """The tables of a page: names of the columns, and rows as pairs of headings and values."""

    found: list[tuple[list[str], list[tuple[list[str], list[str]]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._row: list[tuple[str, str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.found.append(([], []))
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            self._row.append((tag, ""))
            self._in_cell = True

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            tag, text = self._row[-1]
            self._row[-1] = (tag, text + data.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False
        elif tag == "tr" and self.found:
            names, rows = self.found[-1]
            headings, values = ([text for kind, text in self._row if kind == wanted] for wanted in ("th", "td"))
            if values:
                rows.append((headings, values))
            elif not names:
                names.extend(headings)


def _frame(names: list[str], rows: list[tuple[list[str], list[str]]]) -> pd.DataFrame:
    """A frame with the first heading of each row as its index; columns of numbers are numbers."""
    width = len(rows[0][1])
    index = [headings[0] if headings else str(number) for number, (headings, _) in enumerate(rows)]
    frame = pd.DataFrame([values for _, values in rows], columns=names[-width:] or None, index=index)
    for name in frame.columns:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        if (numbers.notna() | frame[name].isin(["NaN", ""])).all():
            frame[name] = numbers
    return frame


class Executed:
    """A notebook of the course as it was run."""

    def __init__(self, number: str) -> None:
        self._content: nbformat.NotebookNode = find(number).content

    def says(self, sentence: str) -> None:
        """The claim still stands in the notebook: in its prose, or as the reading of a chart."""
        text = " ".join(" ".join(cell.source for cell in self._content.cells).split())
        assert " ".join(sentence.split()) in text, f"the notebook no longer says: {sentence}"

    def altered(self, cell: str, old: str, new: str) -> Executed:
        """A copy in which the outputs of a cell say something else."""
        other = copy.copy(self)
        other._content = copy.deepcopy(self._content)
        outputs = json.dumps(other._outputs(cell))
        assert old in outputs, f"cell {cell} does not show {old!r}"
        other._cell(cell).outputs = nbformat.from_dict(json.loads(outputs.replace(old, new)))
        return other

    def text(self, cell: str) -> str:
        """What a cell printed or returned, as text; nothing of what it wrote to stderr."""
        shown = [
            out.get("text") if out.get("name") == "stdout" else out.get("data", {}).get("text/plain")
            for out in self._outputs(cell)
        ]
        return "\n".join(part for part in shown if part)

    def lines(self, cell: str) -> list[str]:
        """The lines of ``text`` that are not empty."""
        return [line for line in self.text(cell).splitlines() if line.strip()]

    def errors(self, cell: str) -> str:
        """What a cell wrote to stderr."""
        return "".join(out.text for out in self._outputs(cell) if out.get("name") == "stderr")

    def html(self, cell: str) -> str:
        return "\n".join(out["data"]["text/html"] for out in self._outputs(cell) if "text/html" in out.get("data", {}))

    def tables(self, cell: str) -> list[Any]:
        """The tables that a cell shows, also those under its charts. (``Any``: a cell of a frame may be of many types.)"""
        parser = _Tables()
        parser.feed(self.html(cell))
        assert parser.found, f"cell {cell} shows no table"
        return [_frame(names, rows) for names, rows in parser.found]

    def table(self, cell: str) -> Any:
        return self.tables(cell)[0]

    def alt(self, cell: str) -> str:
        """The alternative text of a cell's chart."""
        (text,) = [out.metadata["image/png"]["alt"] for out in self._outputs(cell) if "image/png" in out.get("data", {})]
        return str(text)

    def bars(self, cell: str) -> dict[str, float]:
        """The bars of a bar chart, from its alternative text."""
        _, _, values = self.alt(cell).partition("in answers per second. " if "answers per second" in self.alt(cell) else "iB. ")
        parts = (part.strip().rpartition(" ") for part in re.split(r"; |\. (?=[A-Z])", values))
        return {name: float(value) for name, _, value in parts if re.fullmatch(r"[\d.e+]+", value)}

    def shaded(self, cell: str) -> dict[str, float]:
        """What a chart shades, and for how many seconds."""
        found = re.findall(r"Shaded: (.+?), from (\S+) to (\S+) UTC", self.alt(cell))
        return {label: (pd.Timestamp(end) - pd.Timestamp(start)).total_seconds() for label, start, end in found}

    def moved(self, cell: str) -> dict[str, str]:
        """What a snapshot says of each indicator: ``up``, ``down``, ``gone``, ``new`` or ``-``."""
        return {str(name): str(word) for name, word in self.table(cell)["moved"].items()}

    def _cell(self, id: str) -> Any:
        return next(cell for cell in self._content.cells if cell.id == id)

    def _outputs(self, cell: str) -> list[Any]:
        outputs: list[Any] = self._cell(cell).outputs
        return outputs
