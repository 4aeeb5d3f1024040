"""The verbs of the course: ``lab start``, ``stop``, ``run``, ``goto``, ``check``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from labs import config, errors
from labs.paths import Paths

JUPYTER_SETTINGS = Path(__file__).parent / "jupyter"


@click.command()
@click.option("--port", default=8888, show_default=True, help="JupyterLab's port. If it is taken, the next free one.")
@click.option("--no-browser", is_flag=True, help="Print the address without opening a browser.")
def start(port: int, no_browser: bool) -> None:
    """Open JupyterLab on the notebooks, and resume clusters that were stopped.

    JupyterLab listens on 127.0.0.1 only and asks for its token.
    """
    from labs.course.execute import kernel_environment

    _prepare()
    _resume()
    options = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.root_dir={config.NOTEBOOKS}"]
    if no_browser:
        options.append("--no-browser")
    if os.geteuid() == 0:
        # Jupyter refuses root by default; in a container or a sandbox root may be the only user.
        options.append("--allow-root")
    os.execvpe(sys.executable, [sys.executable, "-I", "-m", "jupyter", "lab", *options], kernel_environment() | _settings())


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


def _settings() -> dict[str, str]:
    """JupyterLab's settings for the course: it does not ask about news (not on stage), and it wraps long command lines."""
    paths = [str(JUPYTER_SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


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
@click.argument("number", metavar="NN")
def goto(number: str) -> None:
    """Catch up: run the steps of all notebooks before NN."""
    from labs.course.catchup import notebooks_before, run_steps
    from labs.course.report import plain
    from labs.course.run import run_notebooks

    earlier = notebooks_before(number)
    _prepare()
    console = Console()
    outcomes = run_notebooks(earlier, console, keep_outputs=False, runner=run_steps)
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed:
        console.print(plain(failed[0].error), markup=False, highlight=False)
        console.print(f"A step of notebook {failed[0].notebook.number} failed; try: lab status, then lab goto {number} again")
        sys.exit(1)
    console.print(f"Done: notebook {number.zfill(2)} can begin.", highlight=False)


@click.command()
@click.argument("id", metavar="NN[.k]")
@click.option("--json", "as_json", is_flag=True, help="One JSON list of results.")
def check(id: str, as_json: bool) -> None:
    """Check that the steps of a notebook took effect."""
    from dataclasses import asdict

    import labs
    from labs.course.checks import Report, run_one, select

    chosen = select(id)
    lab = labs.open()
    report = Report(run_one(lab, item) for item in chosen)
    print(json.dumps([asdict(result) for result in report.results]) if as_json else report)
    sys.exit(0 if report.passed else 1)


def _prepare() -> None:
    """Compile or download, with a progress bar, what would otherwise block a notebook's cell for minutes."""
    from labs.clusters import backends
    from labs.clusters.console import ConsoleProgress

    backends.current().prepare(ConsoleProgress())
