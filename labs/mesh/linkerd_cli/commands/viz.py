"""``linkerd viz …``."""

from __future__ import annotations

import click

from labs.mesh.linkerd_cli import edges as edges_module
from labs.mesh.linkerd_cli import manifests, resources, stat
from labs.mesh.linkerd_cli.app import StandinGroup
from labs.mesh.linkerd_cli.cluster import Target
from labs.mesh.linkerd_cli.commands.check import Duration, check_options, run_checks
from labs.mesh.linkerd_cli.commands.install import removable
from labs.mesh.linkerd_cli.metrics_api import Prometheus
from labs.mesh.linkerd_cli.tables import to_json
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi

NO_TRAFFIC = "No traffic found."
namespace_option = click.option("-n", "--namespace", default="default", help="Namespace of the resource.")
all_option = click.option("-A", "--all-namespaces", is_flag=True)
window_option = click.option("-t", "--time-window", "window", type=Duration(), default="1m", help="Time window, such as 30s.")


@click.group(cls=StandinGroup)
def viz() -> None:
    """Statistics from the proxies' metrics, as the lab's Prometheus has them."""


@viz.command()
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
@click.option("--ignore-cluster", is_flag=True)
def install(assignments: tuple[str, ...], ignore_cluster: bool) -> None:
    """Print a namespace and the address of the lab's Prometheus: nothing of the stand-in's viz runs in the cluster."""
    click.echo(manifests.to_yaml(manifests.viz(manifests.values_for("viz", assignments))), nl=False)


@viz.command()
@click.pass_obj
def uninstall(target: Target) -> None:
    """Print what `kubectl delete -f -` should remove."""
    click.echo(manifests.to_yaml(target.run(lambda api: removable(api, f"{linkerd.EXTENSION}=viz"))), nl=False)


@viz.command()
@check_options
@click.pass_obj
def check(target: Target, output: str, wait: float) -> int:
    """Check that statistics are available."""
    return run_checks(target, ["linkerd-viz"], output, wait)


@viz.command("stat")
@click.argument("resource", nargs=-1, required=True)
@namespace_option
@all_option
@window_option
@click.option("-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table")
@click.option("--from", "source", help="Only requests from this resource.")
@click.option("--from-namespace")
@click.option("--to", "destination", help="Only requests to this resource.")
@click.option("--to-namespace")
@click.pass_obj
def viz_stat(
    target: Target,
    resource: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    window: float,
    output: str,
    source: str | None,
    from_namespace: str | None,
    destination: str | None,
    to_namespace: str | None,
) -> None:
    """Success rate, request rate and latencies of RESOURCE: deploy, ds, sts, po, ns, svc or authority, or one of them by name."""
    asked = resources.parse(resource)
    question = stat.Question(
        resource=asked,
        namespace=None if all_namespaces or asked.kind.name == "namespace" else namespace,
        window=window,
        source=resources.parse([source]) if source else None,
        source_namespace=from_namespace,
        destination=resources.parse([destination]) if destination else None,
        destination_namespace=to_namespace,
    )

    async def work(api: KubeApi) -> list[stat.Answer]:
        return await stat.ask(api, await Prometheus.of(api), question)

    answers = target.run(work)
    if output == "json":
        click.echo(to_json(stat.to_rows(answers, question)))
    elif answers:
        click.echo(stat.to_table(answers, question, wide=output == "wide"))
    else:
        click.echo(NO_TRAFFIC, err=True)


@viz.command()
@click.argument("resource", nargs=-1, required=True)
@namespace_option
@all_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
@click.pass_obj
def edges(target: Target, resource: tuple[str, ...], namespace: str, all_namespaces: bool, output: str) -> None:
    """Who calls whom among RESOURCE (deploy or po), and whether by mTLS."""
    asked = resources.parse(resource)

    async def work(api: KubeApi) -> list[edges_module.Edge]:
        found = await edges_module.edges(await Prometheus.of(api), asked.kind, None if all_namespaces else namespace)
        return [edge for edge in found if asked.name in (None, edge.src, edge.dst)]

    found = target.run(work)
    if output == "json":
        click.echo(to_json(edges_module.edges_rows(found)))
    elif found:
        click.echo(edges_module.edges_table(found))
    else:
        click.echo("No edges found.", err=True)


@viz.command()
@click.argument("resource", nargs=-1, required=True)
@namespace_option
@window_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
@click.pass_obj
def authz(target: Target, resource: tuple[str, ...], namespace: str, window: float, output: str) -> None:
    """Show what each authorization admitted to RESOURCE, and what was refused."""
    asked = resources.parse(resource)
    labels = {"namespace": namespace, asked.kind.label: asked.name or ""}

    async def work(api: KubeApi) -> list[edges_module.AuthzRow]:
        return await edges_module.authorizations(await Prometheus.of(api), labels, window)

    rows = target.run(work)
    click.echo(to_json(edges_module.authz_rows(rows)) if output == "json" else edges_module.authz_table(rows))
