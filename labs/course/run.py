"""``lab run``: the whole workshop headless, with progress, a report and a one-screen summary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from labs.course import report
from labs.course.execute import OnCell, Outcome, execute, save
from labs.course.notebooks import Notebook
from labs.paths import REPORT

QUIET_LINE_EVERY = 5.0
"""Seconds between progress lines where the output is not a terminal (a log): never still for more than 10 s."""

Runner = Callable[[Notebook, OnCell], Outcome]


def run_notebooks(
    notebooks: Sequence[Notebook], console: Console, *, keep_outputs: bool, runner: Runner = execute
) -> list[Outcome]:
    """Run them in order, stopping at the first that fails; with ``keep_outputs`` each is saved back into its file."""
    outcomes: list[Outcome] = []
    with _progress(console) as progress:
        for notebook in notebooks:
            task = progress.add_task(notebook.title, total=None)
            outcome = runner(notebook, _reporter(progress, task, notebook.title))
            outcomes.append(outcome)
            progress.remove_task(task)
            console.print(_line(outcome), highlight=False)
            if keep_outputs and not outcome.error:
                save(outcome, notebook.path)
            if outcome.error:
                break
    return outcomes


def write_report(outcomes: Sequence[Outcome], console: Console, *, backend: str) -> None:
    """Write ``report/index.html`` and the executed notebooks beside it, and print the summary."""
    for older in REPORT.glob("*.ipynb"):  # and nothing else: the leaderboard lies there too
        older.unlink()
    page = report.write(outcomes, REPORT, backend=backend)
    for outcome in outcomes:
        save(outcome, REPORT / outcome.notebook.path.name)
    console.print(_table(outcomes))
    for outcome in outcomes:
        if outcome.error:
            console.print(f"[bold]✗ {outcome.notebook.path.name} stopped:[/bold]")
            console.print("\n".join(report.plain(outcome.error).strip().splitlines()[-25:]), markup=False, highlight=False)
    console.print(f"The report: {page}", soft_wrap=True, highlight=False)


class _Lines:
    """Progress for a log file, where a bar cannot be redrawn: a line at the start of a notebook and every few seconds after."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> _Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def add_task(self, description: str, total: float | None = None) -> TaskID:
        self._state = description
        self._console.print(f"… {description}", highlight=False)
        return TaskID(0)

    def update(self, task: TaskID, *, description: str, completed: float, total: float) -> None:
        self._state = f"{description}: cell {completed + 1:.0f} of {total:.0f}"

    def remove_task(self, task: TaskID) -> None:
        self._state = ""

    def _beat(self) -> None:
        while not self._done.wait(QUIET_LINE_EVERY):
            if self._state:
                self._console.print(f"… {self._state}", highlight=False)


def _reporter(progress: Progress | _Lines, task: TaskID, title: str) -> OnCell:
    return lambda index, count: progress.update(task, description=title, completed=index, total=count)


def _progress(console: Console) -> Progress | _Lines:
    if not console.is_terminal:
        return _Lines(console)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("cell {task.completed}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _line(outcome: Outcome) -> str:
    passed = sum(check["passed"] for check in outcome.checks)
    mark = "✗" if outcome.error else "✓"
    return f"{mark} {outcome.notebook.title}: {outcome.seconds:.0f} s, {passed} of {len(outcome.checks)} checks"


def _table(outcomes: Sequence[Outcome]) -> Table:
    counts = report.summary(outcomes)
    table = Table(
        title="Boring Ops Lab", caption=f"{counts['checks_passed']} of {counts['checks']} checks, {counts['seconds']:.0f} s"
    )
    for column, justify in (("notebook", "left"), ("result", "left"), ("checks", "right"), ("seconds", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for outcome in outcomes:
        passed = sum(check["passed"] for check in outcome.checks)
        result = "✗ stopped" if outcome.error else "✓ ran"
        table.add_row(outcome.notebook.title, result, f"{passed}/{len(outcome.checks)}", f"{outcome.seconds:.0f}")
    return table
