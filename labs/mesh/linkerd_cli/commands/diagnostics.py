"""``linkerd diagnostics``: what the proxies report, and the endpoints of Services."""

from __future__ import annotations

import aiohttp
import click

from labs.errors import LabError
from labs.mesh.linkerd_cli.app import StandinGroup
from labs.mesh.linkerd_cli.cluster import Target, items
from labs.mesh.linkerd_cli.commands.identity import meshed_pods
from labs.mesh.linkerd_cli.links import scrape
from labs.wire.kube_api import KubeApi
from labs.wire.linkerd import ADMIN_PORT


@click.group(cls=StandinGroup)
def diagnostics() -> None:
    """Show what the data plane reports."""


@diagnostics.command("proxy-metrics")
@click.argument("resource")
@click.option("-n", "--namespace", default="default")
@click.pass_obj
def proxy_metrics(target: Target, resource: str, namespace: str) -> None:
    """Print the metrics of the proxies of RESOURCE (po/NAME or deploy/NAME)."""
    name = resource.removeprefix("pods/").removeprefix("pod/").removeprefix("po/")

    async def work(api: KubeApi) -> list[tuple[str, str]]:
        try:
            return [
                (pod["metadata"]["name"], await scrape(pod, ADMIN_PORT)) for pod in await meshed_pods(api, namespace, name, None)
            ]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(f"the proxy does not answer: {error or 'no answer in time'}") from None

    found = target.run(work)
    for number, (pod, text) in enumerate(found, 1):
        click.echo(f"#\n# POD {pod} ({number} of {len(found)})\n#\n{text}")


@diagnostics.command()
@click.argument("authorities", nargs=-1, required=True, metavar="SERVICE.NS.svc.cluster.local:PORT …")
@click.pass_obj
def endpoints(target: Target, authorities: tuple[str, ...]) -> None:
    """Print the ready endpoints of a Service, as the API has them."""

    async def work(api: KubeApi) -> list[list[str]]:
        return [row for authority in authorities for row in await ready_endpoints(api, authority)]

    rows = target.run(work)
    if not rows:
        click.echo("No endpoints found.")
        return
    widths = [max(len(row[column]) for row in [["NAMESPACE", "IP", "PORT", "POD"], *rows]) for column in range(4)]
    for row in [["NAMESPACE", "IP", "PORT", "POD", "SERVICE"], *rows]:
        click.echo("   ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))


async def ready_endpoints(api: KubeApi, authority: str) -> list[list[str]]:
    """Namespace, IP, port, pod and service of each ready endpoint of ``SERVICE.NS.svc…:PORT``; lists all ports, not just PORT."""
    host, _, _port = authority.partition(":")
    service, namespace, *_rest = [*host.split("."), "", ""]
    if not namespace:
        raise LabError(f"expected SERVICE.NAMESPACE.svc.cluster.local:PORT; found {authority!r}")
    slices = await items(
        api, "discovery.k8s.io/v1/endpointslices", namespace, labelSelector=f"kubernetes.io/service-name={service}"
    )
    return sorted(
        [namespace, address, str(port["port"]), (row.get("targetRef") or {}).get("name", ""), f"{service}.{namespace}"]
        for item in slices
        for row in item.get("endpoints") or []
        if (row.get("conditions") or {}).get("ready", True)
        for address in row["addresses"]
        for port in item.get("ports") or []
    )
