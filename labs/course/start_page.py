"""``work/start-here.md``: a map of the course, where the learner is, and what to do when stuck. JupyterLab opens it first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import jinja2

from labs.course.begin import builds_on
from labs.course.checks import Report, registered
from labs.course.notebooks import Notebook, all_notebooks
from labs.course.progress import Progress
from labs.course.workspace import Workspace
from labs.wire.replace_file import replace_text

NAME = "start-here.md"
TEMPLATE = Path(__file__).parent / "templates" / "start_here.md.j2"


@dataclass(frozen=True)
class Row:
    """A notebook on the map."""

    notebook: Notebook
    passed: int
    checks: int
    needs: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.passed == self.checks

    @property
    def name(self) -> str:
        """The title without its number."""
        return self.notebook.title.partition("· ")[2] or self.notebook.title

    @property
    def state(self) -> str:
        """In words, with a sign; neither depends on colour."""
        if self.is_done:
            return "✓ done"
        return f"◐ {self.passed} of {self.checks} checks" if self.passed else "○ not yet"


def rows(passed: Mapping[str, str]) -> list[Row]:
    """The map, in the course's order."""
    checks = list(registered())
    return [
        Row(
            notebook,
            sum(id.startswith(f"{notebook.number}.") for id in checks if id in passed),
            sum(id.startswith(f"{notebook.number}.") for id in checks),
            builds_on(notebook.number),
        )
        for notebook in all_notebooks()
    ]


def here(table: list[Row]) -> Row:
    """The notebook to go on with: after the last one that was begun, or that one if it is not finished."""
    begun = [index for index, row in enumerate(table) if row.passed]
    last = begun[-1] if begun else 0
    return table[min(last + table[last].is_done, len(table) - 1)]


def text(passed: Mapping[str, str], now: datetime) -> str:
    """The page, as Markdown."""
    table = rows(passed)
    template = jinja2.Template(TEMPLATE.read_text(), trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    page: str = template.render(rows=table, here=here(table), now=f"{now:%H:%M}", done=sum(row.is_done for row in table))
    return page


def record(report: Report) -> None:
    """Note the checks that passed; if one of them is new, the page says so."""
    progress = Progress()
    if progress.record(result.id for result in report.results if result.passed):
        with contextlib.suppress(OSError):  # a full disk is no reason to fail a step that worked
            write()


def write(workspace: Workspace | None = None) -> Path:
    """Write the page and return its path."""
    folder = (workspace or Workspace()).folder
    path = folder / NAME
    replace_text(path, text(Progress(folder).passed(), datetime.now().astimezone()))
    return path
