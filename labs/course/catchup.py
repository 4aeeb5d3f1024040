"""``lab goto NN``: bring the clusters to where notebook NN begins, by running the steps of the notebooks before it.

The notebooks are the only source of the steps: a cell that changes the cluster carries the tag ``step``. Steps are
written so that running one twice is harmless (``apply``, not ``create``), so catching up from anywhere is safe.
"""

from __future__ import annotations

from labs.course.execute import OnCell, Outcome, execute
from labs.course.notebooks import Notebook, all_notebooks, find


def notebooks_before(number: str) -> list[Notebook]:
    """The notebooks whose steps must have run before ``number`` begins."""
    target = find(number)
    return [notebook for notebook in all_notebooks() if notebook.number < target.number and notebook.steps()]


def run_steps(notebook: Notebook, on_cell: OnCell) -> Outcome:
    """Run the cells of ``notebook`` that carry the tag ``step``, in order."""
    return execute(notebook, on_cell, steps_only=True)
