"""The verbs of the course: ``lab start``, ``lab run``, ``lab goto``, ``lab check``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from labs import config

JUPYTER_SETTINGS = Path(__file__).parent / "jupyter"


@click.command()
@click.option("--port", default=8888, show_default=True, help="JupyterLab's port; the next free one if it is taken.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def start(port: int, no_browser: bool) -> None:
    """Open JupyterLab on the notebooks (loopback only, token kept)."""
    from labs.course.execute import kernel_environment

    _prepare()
    options = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.root_dir={config.NOTEBOOKS}"]
    if no_browser:
        options.append("--no-browser")
    if os.geteuid() == 0:
        # Jupyter refuses root by default; in a container or a sandbox there may be nobody else.
        options.append("--allow-root")
    os.execvpe(sys.executable, [sys.executable, "-m", "jupyter", "lab", *options], kernel_environment() | _settings())


def _settings() -> dict[str, str]:
    """JupyterLab as the course wants it: no question about news (it would ask on stage), long command lines wrapped."""
    paths = [str(JUPYTER_SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


@click.command()
@click.option("--until", metavar="NN", help="Stop after this notebook (the lab stays up).")
@click.option("--keep-outputs", is_flag=True, help="Save the outputs into notebooks/ (for authors).")
def run(until: str | None, keep_outputs: bool) -> None:
    """Run the whole workshop headless and write report/index.html."""
    from labs.clusters import backends
    from labs.course import notebooks
    from labs.course.run import run_notebooks, write_report

    chosen = notebooks.until(until)
    _prepare()
    console = Console()
    console.print(f"Running {len(chosen)} notebooks; the first sets the clusters up", highlight=False)
    outcomes = run_notebooks(chosen, console, keep_outputs=keep_outputs)
    write_report(outcomes, console, backend=backends.current().name)
    sys.exit(1 if any(outcome.error for outcome in outcomes) else 0)


@click.command()
@click.argument("number", metavar="NN")
def goto(number: str) -> None:
    """Catch up: run the steps of every notebook before NN."""
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
    console.print(f"You are where notebook {number.zfill(2)} begins.", highlight=False)


@click.command()
@click.argument("id", metavar="NN[.k]")
@click.option("--json", "as_json", is_flag=True, help="One JSON list of results.")
def check(id: str, as_json: bool) -> None:
    """Look whether a notebook's steps were really done."""
    from dataclasses import asdict

    import labs
    from labs.course.checks import Report, run_one, select

    chosen = select(id)
    lab = labs.open()
    report = Report(run_one(lab, item) for item in chosen)
    print(json.dumps([asdict(result) for result in report.results]) if as_json else report)
    sys.exit(0 if report.passed else 1)


def _prepare() -> None:
    """Compile or fetch with a bar of its own what would otherwise hold up a notebook's cell for minutes."""
    from labs.clusters import backends
    from labs.clusters.console import ConsoleProgress

    backends.current().prepare(ConsoleProgress())
