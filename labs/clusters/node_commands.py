"""``lab node list|add``: the nodes of the clusters, and workers that come while the lab runs (``remove``: ``labs.faults``)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from labs import errors
from labs.clusters import backends
from labs.clusters.base import Backend
from labs.clusters.console import ConsoleProgress
from labs.clusters.nodes import NodeRequest, require_supported
from labs.steps import Action, Progress, run_steps
from labs.topology import GpuSpec

cluster_option = click.option("--cluster", metavar="NAME", required=True, help="The node's cluster.")


@click.group()
def node() -> None:
    """The nodes of the clusters: list them, add a worker, remove it."""


@node.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """Show every node of every cluster."""
    backend = backends.current()
    rows = [(cluster, found.name, found.control_plane) for cluster in backend.clusters() for found in backend.nodes.list(cluster)]
    if as_json:
        click.echo(
            json.dumps(
                [{"cluster": cluster, "name": name, "control_plane": control_plane} for cluster, name, control_plane in rows]
            )
        )
        return
    table = Table("cluster", "node", "role", box=None)
    for cluster, name, control_plane in rows:
        table.add_row(cluster, name, "control plane" if control_plane else "worker")
    Console().print(table)


@node.command()
@click.argument("name", required=False)
@cluster_option
@click.option("--gpus", type=click.IntRange(1, 16), help="How many GPUs to simulate on the node.")
@click.option("--product", default="NVIDIA-A100-SXM4-80GB", show_default=True, help="Which GPU model to simulate.")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label for the node; repeat for each.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds until the node must be ready.")
def add(name: str | None, cluster: str, gpus: int | None, product: str, labels: Sequence[str], timeout: float) -> None:
    """Add a worker to a cluster; without NAME it gets the next free name."""
    backend = backend_of(cluster)
    require_supported(backend.nodes, "add", cluster)
    request = NodeRequest(name, GpuSpec(product, gpus) if gpus else None, dict(_label(text) for text in labels))
    made: list[str] = []

    def join(progress: Progress) -> None:
        made.append(backend.nodes.add(cluster, request, progress, timeout))

    run_steps([Action(f"A worker for {cluster}", join)], ConsoleProgress(), keep=True)
    click.echo(made[0])


def backend_of(cluster: str) -> Backend:
    """The backend of this checkout's lab, which has that cluster.

    Raises:
        NotFound: it has none of that name.
    """
    backend = backends.current()
    if cluster not in backend.clusters():
        raise errors.NotFound("cluster", cluster, list(backend.clusters()))
    return backend


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise errors.UsageError(f"expected --label KEY=VALUE; found {text!r}")
    return key, value
