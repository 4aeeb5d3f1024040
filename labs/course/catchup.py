"""``lab goto NN``: bring the clusters to where notebook NN begins, by running the steps of the notebooks before it.

The notebooks are the only source of the steps: a cell that changes the cluster carries the tag ``step``. Steps are
written so that running one twice is harmless (``apply``, not ``create``), so catching up from an earlier place is safe.
Going back means to remove the lab and catch up from nothing: what later notebooks change (a policy that answers 403) is no
state in which an earlier one begins.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs import errors
from labs.clusters import backends
from labs.clusters.base import Backend
from labs.course.begin import NEEDS, Need, require_needs
from labs.course.execute import OnCell, Outcome, execute
from labs.course.notebooks import Notebook, all_notebooks, find
from labs.faults import lifecycle
from labs.lab import Lab

FOOTPRINTS = (
    Need("01", "app", "Deployment", "default", "hello"),
    Need("02", "gpu", "DaemonSet", "gpu-system", "gpu-simulator"),
    *NEEDS,
    Need("06", "gpu", "Pod", "default", "stranger"),
    Need("06", "app", "Deployment", "tenant", "visitor"),
    Need("09", "app", "Deployment", "resilience", "answers"),
    Need("09", "gpu", "Deployment", "resilience", "answers"),
    Need("13", "app", "Deployment", "cost", "echo"),
    Need("13", "gpu", "Deployment", "cost", "echo"),
)
"""By these objects a lab shows which notebooks have been run in it. Notebooks that are missing here leave nothing behind."""


def notebooks_before(number: str) -> list[Notebook]:
    """The notebooks whose steps must have run before ``number`` begins."""
    target = find(number)
    return [notebook for notebook in all_notebooks() if notebook.number < target.number and notebook.steps()]


def run_steps(notebook: Notebook, on_cell: OnCell) -> Outcome:
    """Run the cells of ``notebook`` that carry the tag ``step``, in order."""
    return execute(notebook, on_cell, cells=notebook.steps())


def running_lab() -> Lab | None:
    """The lab, if its clusters answer."""
    try:
        lab = Lab(backends.current())
        lab.require_running()
    except errors.NotRunning:
        return None
    return lab


def later_work(number: str) -> list[str]:
    """What notebook ``number`` and later ones have left in the running lab; empty if none runs."""
    lab = running_lab()
    return [] if lab is None else list(_later_work(lab, find(number).number))


def _later_work(lab: Lab, number: str) -> Iterator[str]:
    if number == "99":
        return
    if number <= "01":
        yield "running clusters (notebook 01)"
    yield from (str(made) for made in FOOTPRINTS if made.made_by >= number and made.is_met(lab))


def remove_lab() -> None:
    """Remove the lab, so that the steps begin from nothing."""
    backend: Backend = backends.to_remove()
    backend.down()


def heal() -> list[str]:
    """Heal the failures that are active in the running lab; a line for each."""
    lab = running_lab()
    return [] if lab is None else [f"healed {injection.title}" for injection in lifecycle.heal_all(lab)]


def verify(number: str) -> None:
    """Check what notebook ``number`` builds on.

    Raises:
        NotRunning: something is missing; the message lists it.
    """
    lab = running_lab()
    notebook = find(number).number
    if lab is not None:
        require_needs(lab, notebook)
    elif "01" < notebook < "99":
        raise errors.NotRunning(f"notebook {notebook} needs running clusters; found none", fix="lab status, then lab up")
