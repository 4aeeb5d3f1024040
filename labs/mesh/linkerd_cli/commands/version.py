"""``linkerd version``."""

from __future__ import annotations

import click
import yaml

from labs.errors import LabError
from labs.mesh.linkerd_cli.cluster import Target, find
from labs.mesh.linkerd_cli.manifests import VERSION
from labs.wire.kube_api import KubeApi

STANDIN = f"stand-in for {VERSION}"


@click.command()
@click.option("--client", is_flag=True, help="Print the client's version only.")
@click.option("--short", is_flag=True, help="Print only the version numbers.")
@click.pass_obj
def version(target: Target, client: bool, short: bool) -> None:
    """Print the versions of the client and of the control plane."""
    click.echo(STANDIN if short else f"Client version: {STANDIN}")
    if not client:
        click.echo(server_version(target) if short else f"Server version: {server_version(target)}")


def server_version(target: Target) -> str:
    """The version in the cluster; like Linkerd's command, ``unavailable`` if there is no control plane or no cluster."""

    async def read(api: KubeApi) -> str:
        stored = await find(api, "configmaps", "linkerd", "linkerd-config")
        values = yaml.safe_load(stored["data"]["values"]) if stored else {}
        if not values:
            return "unavailable"
        return f"stand-in for {values['linkerdVersion']}" if values.get("standIn") else str(values["linkerdVersion"])

    try:
        return target.run(read)
    except LabError:
        return "unavailable"
