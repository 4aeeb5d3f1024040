"""``lab down`` and ``lab node remove``. A cluster or a node is not removed from a running lab while a fault is active on it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from labs.clusters import backends
from labs.clusters.console import ConsoleProgress
from labs.clusters.node_commands import backend_of, cluster_option, node
from labs.clusters.nodes import require_supported
from labs.steps import Action, run_steps

__all__ = ["down", "node"]


@click.command()
@click.option("--cluster", "clusters", metavar="NAME", multiple=True, help="Remove only this cluster from the running lab.")
def down(clusters: Sequence[str]) -> None:
    """Remove the lab: its processes, state and files. The cache and your notebooks stay."""
    if clusters:
        backend = backends.current()
        for name in clusters:
            require_no_fault(name)
        backend.down(clusters)
    else:
        backends.to_remove().down()


@node.command()
@click.argument("name")
@cluster_option
def remove(name: str, cluster: str) -> None:
    """Drain a worker that 'lab node add' created, and remove it."""
    backend = backend_of(cluster)
    require_supported(backend.nodes, "remove", cluster)
    require_no_fault(cluster, name)
    leave = Action(f"{name} leaves {cluster}", lambda progress: backend.nodes.remove(cluster, name, progress))
    run_steps([leave], ConsoleProgress(), keep=True)


def require_no_fault(cluster: str, node: str | None = None) -> None:
    """Check that no fault is active on ``cluster``, or on that ``node`` of it.

    Raises:
        UsageError: one is; the message names it and the command that heals it.
    """
    from labs.faults.lifecycle import check_removal  # imports pandas, which `lab down` and `lab node list` do not need
    from labs.journal import Journal

    check_removal(Journal().active(), cluster, node)
