"""``scripts/parity``."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from labs.clusters import backends
from labs.errors import LabError, NotRunning, UsageError
from labs.paths import Paths
from tests.parity import report, runner
from tests.parity.context import ParityContext
from tests.parity.rows import chosen, topics
from tests.parity.runner import Outcome


@click.command()
@click.option("--backend", help="Refuse to run unless the lab is on this backend.")
@click.option(
    "--only", multiple=True, metavar="TOPIC", help="A topic, or 'linkerd' or 'kubelet' for all of its topics; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--write", is_flag=True, help="Write docs/parity.md from the rows; asks no cluster.")
def parity(backend: str | None, only: tuple[str, ...], as_json: bool, write: bool) -> None:
    """Ask the lab what a real Linkerd and a real kubelet were asked, and compare.

    Installs and links the mesh if that has not been done yet, and leaves it installed; removes everything else that it creates.
    """
    if write:
        report.DOCUMENT.write_text(report.document(topics()))
        return
    wanted = chosen(only)
    here = backends.current()
    if backend not in (None, here.name):
        raise UsageError(f"this checkout's lab uses the backend {here.name}, not {backend}", fix=f"lab up --backend {backend}")
    if not Paths.current().kubeconfig.exists():
        raise NotRunning("no lab is up in this checkout", fix="lab up")
    context = ParityContext(here)
    context.remove()
    try:
        outcomes = runner.run(wanted, context, _tell)
    finally:
        context.remove()
    genuine = here.can.real_linkerd
    _print(outcomes, genuine, as_json)
    wrong = [outcome.row.id for outcome in outcomes if not (outcome.same if genuine else outcome.as_declared)]
    if wrong:
        raise LabError(f"{len(wrong)} rows are not as declared: {', '.join(wrong)}", fix="scripts/parity --json --only TOPIC")


def _tell(outcome: Outcome) -> None:
    mark = "!" if outcome.error else "=" if outcome.same else "≠"
    print(f"{mark} {outcome.row.id} ({outcome.seconds:.1f} s)", file=sys.stderr)


def _print(outcomes: list[Outcome], genuine: bool, as_json: bool) -> None:
    if as_json:
        print(report.as_json(outcomes, genuine))
        return
    Console().print(report.table(outcomes, genuine))
    print(report.summary(outcomes, genuine))
