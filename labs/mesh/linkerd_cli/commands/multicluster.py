"""``linkerd multicluster …``."""

from __future__ import annotations

import click

from labs.errors import LabError
from labs.mesh.linkerd_cli import links, manifests
from labs.mesh.linkerd_cli.app import StandinGroup
from labs.mesh.linkerd_cli.checks_multicluster import MIRRORED
from labs.mesh.linkerd_cli.cluster import Target, find, items
from labs.mesh.linkerd_cli.commands.check import check_options, run_checks
from labs.mesh.linkerd_cli.commands.install import removable
from labs.mesh.linkerd_cli.manifests import Manifest
from labs.mesh.linkerd_cli.tables import to_json
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi, Object

UNLINK_IS_FOR = (
    "only use for removing service mirror resources created by the (also deprecated) 'linkerd multicluster link' command"
    " (Linkerd 2.17 and earlier), using the flag --only-controller"
)
"""Linkerd's own message (multicluster/cmd/unlink.go). The command still prints the link's objects."""


@click.group(cls=StandinGroup)
def multicluster() -> None:
    """Link clusters: through a gateway, flat, and as federated Services."""


@multicluster.command()
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
@click.option("--gateway/--no-gateway", default=True)
@click.option("--ignore-cluster", is_flag=True)
@click.pass_obj
def install(target: Target, assignments: tuple[str, ...], gateway: bool, ignore_cluster: bool) -> None:
    """Print the manifests of the gateway and of a service mirror per link."""
    values = manifests.values_for("multicluster", assignments)
    values["gateway"]["enabled"] = gateway and values["gateway"]["enabled"]
    if not ignore_cluster:
        target.run(refuse_without_control_plane)
    click.echo(manifests.to_yaml(manifests.multicluster(values)), nl=False)


async def refuse_without_control_plane(api: KubeApi) -> None:
    if await find(api, "configmaps", "linkerd", "linkerd-config") is None:
        raise LabError("Linkerd is not installed in this cluster", fix="linkerd install | kubectl apply -f -")


@multicluster.command("link-gen")
@click.option("--cluster-name", required=True, help="The name that the other cluster uses for this one.")
@click.option(
    "--api-server-address", default="", help="https://HOST:PORT at which the other cluster's pods reach this API server."
)
@click.option("--gateway-addresses", default="", help="Addresses of the gateway, comma-separated; default: the LoadBalancer's.")
@click.option("--gateway-port", default=0, type=int)
@click.option("--service-account-name", default=links.ACCOUNT)
@click.pass_obj
def link_gen(
    target: Target,
    cluster_name: str,
    api_server_address: str,
    gateway_addresses: str,
    gateway_port: int,
    service_account_name: str,
) -> None:
    """Print credentials and a Link for the cluster of --context; apply them to the other cluster."""
    options = links.LinkOptions(cluster_name, api_server_address, gateway_addresses, gateway_port, service_account_name)
    generated = target.run(lambda api: links.generate(api, options, target.cluster_entry()))
    click.echo(manifests.to_yaml(generated), nl=False)


@multicluster.command()
@click.option("--cluster-name", required=True)
@click.pass_obj
def unlink(target: Target, cluster_name: str) -> None:
    """Print what `kubectl delete -f -` should remove to end a link, including its mirrors."""
    click.echo(f'Command "unlink" is deprecated, {UNLINK_IS_FOR}', err=True)

    async def known(api: KubeApi) -> tuple[list[str], list[Object]]:
        found = await items(api, linkerd.LINKS, links.NAMESPACE)
        mirrors = await items(api, "services", labelSelector=f"{MIRRORED},{linkerd.MIRROR_CLUSTER}={cluster_name}")
        return [item["metadata"]["name"] for item in found], mirrors

    names, mirrors = target.run(known)
    if cluster_name not in names:
        raise LabError(f'link "{cluster_name}" not found; there are: {", ".join(names) or "none"}')
    click.echo(manifests.to_yaml(removed_with(cluster_name, mirrors)), nl=False)


def removed_with(cluster: str, mirrors: list[Object]) -> list[Manifest]:
    """The Link of ``cluster``, its credentials, and the Services that mirror it."""
    secret = {"apiVersion": "v1", "kind": "Secret"}
    places = [{key: mirror["metadata"][key] for key in ("name", "namespace")} for mirror in mirrors]
    name = f"cluster-credentials-{cluster}"
    return [
        {
            "apiVersion": linkerd.LINK_VERSION,
            "kind": "Link",
            "metadata": {"name": cluster, "namespace": links.NAMESPACE},
        },
        secret | {"metadata": {"name": name, "namespace": links.NAMESPACE}},
        secret | {"metadata": {"name": name, "namespace": "linkerd"}},
        *({"apiVersion": "v1", "kind": "Service", "metadata": place} for place in places),
    ]


@multicluster.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
@click.pass_obj
def gateways(target: Target, output: str) -> None:
    """Show each linked cluster's gateway: alive or not, services mirrored, latency of the last probe."""
    states = target.run(links.gateways)
    if output == "json":
        click.echo(to_json([_json(state) for state in states]))
        return
    click.echo(f"{'CLUSTER':<7}  {'ALIVE':<5}    {'NUM_SVC':>7}      {'LATENCY':>7}  ")
    for state in states:
        latency = "-" if state.latency_ms is None else f"{round(state.latency_ms)}ms"
        click.echo(f"{state.cluster:<7}  {state.alive!s:<5}    {state.services:>7}      {latency:>7}  ")


def _json(state: links.GatewayState) -> dict[str, object]:
    return {
        "clusterName": state.cluster,
        "alive": state.alive,
        "numberOfServices": state.services,
        "latency": round(state.latency_ms or 0),
    }


@multicluster.command()
@click.pass_obj
def uninstall(target: Target) -> None:
    """Print what `kubectl delete -f -` should remove; refuses while links remain."""

    async def work(api: KubeApi) -> list[Manifest]:
        found = await items(api, linkerd.LINKS, links.NAMESPACE)
        if names := [item["spec"]["targetClusterName"] for item in found]:
            raise LabError("\n  * ".join(["Please unlink the following clusters before uninstalling multicluster:", *names]))
        return await removable(api, f"{linkerd.EXTENSION}=multicluster")

    click.echo(manifests.to_yaml(target.run(work)), nl=False)


@multicluster.command()
@check_options
@click.pass_obj
def check(target: Target, output: str, wait: float) -> int:
    """Check the links of this cluster."""
    return run_checks(target, ["linkerd-multicluster"], output, wait)
