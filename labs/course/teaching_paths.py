"""Ways through the notebooks for an instructor, from ``notebooks/paths.toml``: which notebooks, which sections not, how long."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from labs import config
from labs.course.notebooks import Notebook, find, is_step
from labs.errors import NotFound, UsageError

FILE = config.NOTEBOOKS / "paths.toml"
FIELDS = {"notebook", "minutes", "say", "skip"}


@dataclass(frozen=True)
class Stop:
    """One notebook on a path, without the sections ``skip``; ``minutes`` is what it may take with talking."""

    notebook: Notebook
    minutes: float
    say: str = ""
    skip: tuple[str, ...] = ()

    def cells(self) -> list[nbformat.NotebookNode]:
        """What is shown, in order."""
        return [cell for heading, cells in self.notebook.sections().items() if heading not in self.skip for cell in cells]


@dataclass(frozen=True)
class TeachingPath:
    """A path; ``minutes`` is what the whole may take."""

    name: str
    minutes: float
    audience: str
    stops: tuple[Stop, ...]


def all_paths(file: Path = FILE) -> dict[str, TeachingPath]:
    """Every path by its name.

    Raises:
        UsageError, NotFound: the file names something that does not exist, or leaves too little time.
    """
    return {name: _path(name, row) for name, row in tomllib.loads(file.read_text()).items()}


def path(name: str) -> TeachingPath:
    """The path of this name.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    known = all_paths()
    if name not in known:
        raise NotFound("path", name, list(known))
    return known[name]


def _path(name: str, row: dict[str, Any]) -> TeachingPath:
    stops = tuple(_stop(name, stop) for stop in row["stops"])
    planned = sum(stop.minutes for stop in stops)
    if planned > row["minutes"]:
        raise UsageError(f"path {name}: expected stops of at most {row['minutes']} minutes together; found {planned}")
    _require_order(name, stops)
    return TeachingPath(name, row["minutes"], row["audience"], stops)


def _require_order(name: str, stops: Sequence[Stop]) -> None:
    numbers = [stop.notebook.number for stop in stops]
    if numbers != sorted(set(numbers)):
        raise UsageError(f"path {name}: expected the notebooks in the course's order, each once; found {', '.join(numbers)}")


def _stop(name: str, row: dict[str, Any]) -> Stop:
    if unknown := row.keys() - FIELDS:
        raise UsageError(f"path {name}: expected the fields {', '.join(sorted(FIELDS))}; found {', '.join(sorted(unknown))}")
    notebook = find(row["notebook"])
    sections = notebook.sections()
    for heading in row.get("skip", ()):
        if heading not in sections:
            raise NotFound(f"section of notebook {notebook.number}", heading, [known for known in sections if known])
        if any(is_step(cell) for cell in sections[heading]):
            raise UsageError(f"path {name}: notebook {notebook.number} cannot do without {heading!r}, which changes the clusters")
    return Stop(notebook, row["minutes"], row.get("say", ""), tuple(row.get("skip", ())))
