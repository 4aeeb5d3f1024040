"""``linkerd diagnostics``: what the proxies report, and the endpoints of Services."""

from __future__ import annotations

from typing import Any

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


DEFAULT_PORT = 80
"""Of an authority without a port, as the destination controller takes it."""


async def ready_endpoints(api: KubeApi, authority: str) -> list[list[str]]:
    """Namespace, IP, port, pod and service of each ready endpoint of ``SERVICE.NS.svc…:PORT``.

    As in the destination controller's endpoints watcher, PORT is a port of the Service, and a port that the Service does not
    have is taken as the pods' own.

    Raises:
        LabError: ``authority`` names no Service, or its port is no number.
    """
    host, _, port = authority.partition(":")
    service, namespace, *_rest = [*host.split("."), "", ""]
    if not namespace or not (port or str(DEFAULT_PORT)).isdecimal():
        raise LabError(f"expected SERVICE.NAMESPACE.svc.cluster.local:PORT; found {authority!r}")
    target = await _target_port(api, namespace, service, int(port or DEFAULT_PORT))
    slices = await items(
        api, "discovery.k8s.io/v1/endpointslices", namespace, labelSelector=f"kubernetes.io/service-name={service}"
    )
    return sorted(
        [namespace, address, str(number), (row.get("targetRef") or {}).get("name", ""), f"{service}.{namespace}"]
        for item in slices
        for number in _numbers(item, target)
        for row in item.get("endpoints") or []
        if (row.get("conditions") or {}).get("ready", True)
        for address in row["addresses"]
    )


async def _target_port(api: KubeApi, namespace: str, service: str, port: int) -> int | str:
    """The pods' port behind a port of the Service: a number, or the name it has in the pods."""
    for found in await items(api, "services", namespace, fieldSelector=f"metadata.name={service}"):
        for row in found["spec"].get("ports") or []:
            if row["port"] == port:
                target: int | str = row.get("targetPort", port)
                return target if isinstance(target, int) else str(row.get("name", ""))
    return port


def _numbers(item: dict[str, Any], target: int | str) -> list[int]:
    """The port numbers that ``target`` means in one EndpointSlice, whose ports have the names of the Service's."""
    if isinstance(target, int):
        return [target]
    return [row["port"] for row in item.get("ports") or [] if (row.get("name") or "") == target]
