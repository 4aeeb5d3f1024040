"""``lab rehearse``: execute a teaching path beforehand, hold its times against the plan, and leave a recording of each stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
from rich.console import Console
from rich.table import Table

from labs import config
from labs.course import catchup
from labs.course.execute import OnCell, Outcome, execute, save
from labs.course.notebooks import Notebook
from labs.course.run import run_notebooks
from labs.course.teaching_paths import Stop, TeachingPath
from labs.errors import LabError

RECORDINGS = config.WORK / "rehearsal"
TALK = 0.5
"""Share of a stop's minutes that its cells may take: the rest is for words, questions and a slow room."""


@dataclass(frozen=True)
class Rehearsed:
    """A stop and what executing it gave."""

    stop: Stop
    outcome: Outcome

    @property
    def planned(self) -> float:
        """Seconds."""
        return self.stop.minutes * 60

    @property
    def verdict(self) -> str:
        """In words."""
        if self.outcome.error:
            return "✗ failed"
        return "✓" if self.outcome.seconds <= TALK * self.planned else f"✗ leaves less than {1 - TALK:.0%} for talking"


def rehearse(path: TeachingPath, console: Console, folder: Path = RECORDINGS) -> list[Rehearsed]:
    """Execute the stops of ``path`` in order and save each as ``FOLDER/PATH/NN-….ipynb``; it ends with the first that fails.

    Before each stop the steps of the notebooks that the path leaves out are run, as ``lab goto`` runs them.

    Raises:
        LabError: one of those steps failed.
    """
    recordings = folder / path.name
    recordings.mkdir(parents=True, exist_ok=True)
    rehearsed: list[Rehearsed] = []
    reached = ""
    for stop in path.stops:
        _prepare(list(_between(reached, stop)), console)
        reached = stop.notebook.number
        (outcome,) = run_notebooks([stop.notebook], console, keep_outputs=False, runner=partial(_execute, stop.cells()))
        save(outcome, recordings / stop.notebook.path.name)
        rehearsed.append(Rehearsed(stop, outcome))
        if outcome.error:
            break
    return rehearsed


def _execute(cells: Sequence[nbformat.NotebookNode], notebook: Notebook, on_cell: OnCell) -> Outcome:
    return execute(notebook, on_cell, cells=cells)


def _between(reached: str, stop: Stop) -> Iterator[Notebook]:
    """The notebooks after ``reached`` and before the stop that change the clusters."""
    return (notebook for notebook in catchup.notebooks_before(stop.notebook.number) if notebook.number > reached)


def _prepare(notebooks: list[Notebook], console: Console) -> None:
    outcomes = run_notebooks(notebooks, console, keep_outputs=False, runner=catchup.run_steps)
    failed = next((outcome for outcome in outcomes if outcome.error), None)
    if failed is not None:
        raise LabError(f"a step of notebook {failed.notebook.number} failed:\n{failed.error}", fix="lab status")


def table(path: TeachingPath, rehearsed: list[Rehearsed]) -> Table:
    """A row per stop: how long its cells took, and how long it may take with talking."""
    found = Table(title=f"Path {path.name}: {path.audience}", box=None, pad_edge=False)
    for column in ("notebook", "cells", "planned", "longest cell", ""):
        found.add_column(column, justify="left" if column in ("notebook", "") else "right")
    for row in rehearsed:
        longest = max(row.outcome.cell_seconds, default=0.0)
        found.add_row(
            row.stop.notebook.title, f"{row.outcome.seconds:.0f} s", f"{row.planned:.0f} s", f"{longest:.0f} s", row.verdict
        )
    return found
