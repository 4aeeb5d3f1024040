"""The numbered notebooks: the one source of the course's steps."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from labs import config
from labs.errors import NotFound

STEP = "step"
"""Tag of a cell that changes the cluster: catch-up runs these and nothing else."""
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_MINUTES = re.compile(r"(\d+) minutes")


@dataclass(frozen=True)
class Notebook:
    """One notebook: ``number`` is its two digits, ``"05"``."""

    path: Path

    @property
    def number(self) -> str:
        return self.path.name[:2]

    @cached_property
    def content(self) -> nbformat.NotebookNode:
        node: nbformat.NotebookNode = nbformat.read(self.path, as_version=4)
        return node

    @property
    def title(self) -> str:
        """The first heading, without its mark."""
        first = str(self.content.cells[0].source).splitlines()[0]
        return first.lstrip("# ").strip()

    @property
    def minutes(self) -> int | None:
        """How long a learner takes, according to the first cell; None if it does not say."""
        found = _MINUTES.search(str(self.content.cells[0].source))
        return int(found[1]) if found else None

    def sections(self) -> dict[str, list[nbformat.NotebookNode]]:
        """The cells by the heading (``## …``) they stand under; those before the first one under ``""``.

        A markdown cell belongs to the first heading in it: text before that ends the section above.
        """
        found: dict[str, list[nbformat.NotebookNode]] = {"": []}
        heading = ""
        for cell in self.content.cells:
            named = _HEADING.search(str(cell.source)) if cell.cell_type == "markdown" else None
            heading = named[1].strip() if named else heading
            found.setdefault(heading, []).append(cell)
        return found

    def steps(self) -> list[nbformat.NotebookNode]:
        """The code cells that change the cluster, in order."""
        return [cell for cell in self.content.cells if is_step(cell)]


def is_step(cell: nbformat.NotebookNode) -> bool:
    """Whether the cell changes the cluster."""
    return cell.cell_type == "code" and STEP in cell.metadata.get("tags", [])


def without_outputs(content: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy whose code cells have not been run."""
    copy: nbformat.NotebookNode = deepcopy(content)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


def all_notebooks() -> list[Notebook]:
    """Every numbered notebook, in order."""
    return [Notebook(path) for path in sorted(config.NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))]


def find(number: str) -> Notebook:
    """The notebook with this number, given as ``5``, ``05`` or ``05-multicluster``.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    wanted = number.split("-")[0].zfill(2)
    for notebook in all_notebooks():
        if notebook.number == wanted:
            return notebook
    raise NotFound("notebook", number, [n.path.stem for n in all_notebooks()])


def until(number: str | None) -> list[Notebook]:
    """The notebooks from the first to ``number``, inclusive; all of them for None."""
    if number is None:
        return all_notebooks()
    last = find(number).number
    return [notebook for notebook in all_notebooks() if notebook.number <= last]
