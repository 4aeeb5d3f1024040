"""The verbs of the course: ``lab start``, ``stop``, ``update``, ``run``, ``rehearse``, ``goto``, ``check``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console

from labs import errors
from labs.paths import Paths

if TYPE_CHECKING:
    from labs.course.execute import Outcome


@click.command()
@click.option("--port", default=8888, show_default=True, help="JupyterLab's port. If it is taken, the next free one.")
@click.option("--no-browser", is_flag=True, help="Print the address without opening a browser.")
def start(port: int, no_browser: bool) -> None:
    """Open JupyterLab on the notebooks, and resume clusters that were stopped.

    JupyterLab listens on 127.0.0.1 only and asks for its token.
    """
    from labs.course import jupyterlab, servers, start_page
    from labs.course.workspace import Workspace

    _prepare()
    workspace = Workspace()
    lines = workspace.refresh()
    page = start_page.write(workspace)
    _resume()
    open_servers = servers.running()
    if open_servers:
        lines.append("JupyterLab runs already:")
        jupyterlab.announce(open_servers[0], lines, open_browser=not no_browser)
        return
    process = jupyterlab.start(port, page)
    server = jupyterlab.wait_until_ready(process)
    lines.append(
        f"Your notebooks are in {workspace.folder.name}/. Ctrl-C ends JupyterLab; lab stop stops the clusters too. Open:"
    )
    jupyterlab.announce(server, lines, open_browser=not no_browser)
    sys.exit(jupyterlab.stay(process))


def _resume() -> None:
    """Start the clusters again if there are any; the notebooks open in any case, because they say what to do."""
    from labs.clusters import backends
    from labs.clusters.console import ConsoleProgress

    if not Paths.current().kubeconfig.exists():
        return
    try:
        backends.current().up(ConsoleProgress())
    except errors.LabError as error:
        click.echo(f"lab: the clusters are not running: {error}", err=True)


@click.command()
def stop() -> None:
    """Stop JupyterLab and the clusters, and keep their state; 'lab start' resumes them.

    It does not stop a JupyterLab that you run it in.
    """
    from labs.clusters import backends
    from labs.course import servers

    open_servers = servers.running()
    try:
        backends.current().stop()
    except errors.NotRunning:
        if not open_servers:
            raise
    for line in servers.stop_all():
        click.echo(line, err=True)


@click.command()
def update() -> None:
    """Bring the latest notebooks into work/: pull, then refresh your copies.

    A copy that you have not touched is replaced; one that you have changed or run is kept beside the new one.
    """
    from labs.course import start_page
    from labs.course.checkout import pull
    from labs.course.workspace import Workspace

    click.echo(pull())
    workspace = Workspace()
    for line in workspace.refresh() or ["your copies are up to date"]:
        click.echo(line)
    start_page.write(workspace)


@click.command()
@click.option("--until", metavar="NN", help="Stop after this notebook (the lab stays up).")
@click.option("--keep-outputs", is_flag=True, help="Save the outputs to notebooks/ (for authors).")
def run(until: str | None, keep_outputs: bool) -> None:
    """Run all notebooks without a browser and write report/index.html."""
    from labs.clusters import backends
    from labs.course import notebooks
    from labs.course.run import run_notebooks, write_report

    chosen = notebooks.until(until)
    _prepare()
    console = Console()
    console.print(f"Running {len(chosen)} notebooks. Notebook 01 creates the clusters.", highlight=False)
    outcomes = run_notebooks(chosen, console, keep_outputs=keep_outputs)
    write_report(outcomes, console, backend=backends.current().name)
    sys.exit(1 if any(outcome.error for outcome in outcomes) else 0)


@click.command()
@click.option("--path", "name", default="demo", show_default=True, metavar="PATH", help="One of those in notebooks/paths.toml.")
@click.option("--yes", is_flag=True, help="Go back without asking: the lab is removed and created again.")
def rehearse(name: str, yes: bool) -> None:
    """Execute a way through the notebooks before you teach it, and report its times.

    Each stop's executed notebook is left in work/rehearsal/PATH: what to show if something fails on stage.
    """
    from labs.course import catchup, teaching_paths
    from labs.course.rehearsal import RECORDINGS, table
    from labs.course.rehearsal import rehearse as execute_path
    from labs.course.report import plain

    path = teaching_paths.path(name)
    _prepare()
    _resume()
    _go_back(path.stops[0].notebook.number, yes, again=f"lab rehearse --path {name}")
    for line in catchup.heal():
        click.echo(line)
    console = Console()
    rehearsed = execute_path(path, console)
    console.print(table(path, rehearsed))
    console.print(f"Recordings: {RECORDINGS / path.name}", soft_wrap=True, highlight=False)
    if failed := next((row.outcome for row in rehearsed if row.outcome.error), None):
        raise errors.LabError(f"notebook {failed.notebook.number} failed:\n{plain(failed.error)}", fix="lab status")
    console.print(f"The lab is where the path ends. Before you begin: lab goto {path.stops[0].notebook.number}", highlight=False)


@click.command()
@click.argument("number", metavar="NN")
@click.option("--yes", is_flag=True, help="Go back without asking: the lab is removed and created again.")
def goto(number: str, yes: bool) -> None:
    """Bring the clusters to where notebook NN begins.

    Forwards, this runs the steps of the notebooks before NN. Backwards, it first asks, then removes the lab and begins from
    nothing. Your notebooks stay as they are.
    """
    from labs.course import catchup
    from labs.course.run import run_notebooks

    earlier = catchup.notebooks_before(number)
    _prepare()
    _resume()  # what a stopped lab has only shows when it runs
    _go_back(number, yes, again=f"lab goto {number}")
    for line in catchup.heal():
        click.echo(line)
    console = Console()
    outcomes = run_notebooks(earlier, console, keep_outputs=False, runner=catchup.run_steps)
    _require_steps(outcomes, number)
    catchup.verify(number)
    console.print(f"Done: notebook {number.zfill(2)} can begin.", highlight=False)


def _go_back(number: str, yes: bool, again: str) -> None:
    """Remove the lab if it is past the beginning of notebook ``number``, after asking; ``again`` is the command that asks."""
    from labs.course import catchup

    later = catchup.later_work(number)
    if not later:
        return
    click.echo(f"This lab is past the beginning of notebook {number.zfill(2)}. It has:")
    for line in later:
        click.echo(f"  {line}")
    question = "Remove the lab and start again from an empty one? Your notebooks stay as they are."
    if not yes and not _can_answer():
        raise errors.UsageError(
            "expected a yes before removing the lab; nobody is here to give it", fix=f"lab goto {number} --yes"
        )
    if not yes and not click.confirm(question):
        raise errors.UsageError("nothing was changed", fix=f"{again}, and answer y")
    catchup.remove_lab()


def _can_answer() -> bool:
    """Whether somebody at a terminal can answer a question."""
    return sys.stdin.isatty()


def _require_steps(outcomes: Sequence[Outcome], number: str) -> None:
    """Raise an error that has the first failure's text, if there is one."""
    from labs.course.report import plain

    failed = next((outcome for outcome in outcomes if outcome.error), None)
    if failed is not None:
        message = f"a step of notebook {failed.notebook.number} failed:\n{plain(failed.error)}"
        raise errors.LabError(message, fix=f"lab status, then lab goto {number} again")


@click.command()
@click.argument("id", metavar="NN[.k]")
@click.option("--json", "as_json", is_flag=True, help="One JSON list of results.")
def check(id: str, as_json: bool) -> None:
    """Check that the steps of a notebook took effect."""
    from dataclasses import asdict

    import labs
    from labs.course import checking
    from labs.course.checks import select

    select(id)  # an unknown one is refused before the lab is opened
    report = checking.report(labs.open(), id)
    print(json.dumps([asdict(result) for result in report.results]) if as_json else report)
    sys.exit(0 if report.passed else 1)


def _prepare() -> None:
    """Compile or download, with a progress bar, what would otherwise block a notebook's cell for minutes."""
    from labs.clusters import backends
    from labs.clusters.console import ConsoleProgress

    backends.current().prepare(ConsoleProgress())
