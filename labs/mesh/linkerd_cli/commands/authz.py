"""``linkerd authz``: which policies apply to a workload."""

from __future__ import annotations

import click

from labs.errors import LabError
from labs.mesh.linkerd_cli import resources
from labs.mesh.linkerd_cli.cluster import Target, find, items
from labs.mesh.linkerd_cli.tables import table
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi, Object

HEADER = ["ROUTE", "SERVER", "AUTHORIZATION_POLICY", "SERVER_AUTHORIZATION"]


@click.command()
@click.argument("resource", nargs=-1, required=True)
@click.option("-n", "--namespace", default="default")
@click.pass_obj
def authz(target: Target, resource: tuple[str, ...], namespace: str) -> None:
    """List the authorizations that apply to RESOURCE, such as deploy/chat."""
    asked = resources.parse(resource)
    rows = target.run(lambda api: applying(api, asked, namespace))
    click.echo(table(HEADER, rows, left=len(HEADER), gap=2))


async def applying(api: KubeApi, asked: resources.Resource, namespace: str) -> list[list[str]]:
    """A row per AuthorizationPolicy that targets a Server of the workload, a route of such a Server, or the namespace."""
    owner = await find(api, asked.kind.path, namespace, asked.name or "")
    if owner is None:
        raise LabError(f'{asked.kind.name} "{asked.name}" not found in the namespace {namespace}')
    meta = owner["metadata"] if asked.kind.name == "pod" else owner["spec"]["template"]["metadata"]
    servers = await items(api, f"{linkerd.POLICY}/v1beta3/servers", namespace)
    names = {item["metadata"]["name"] for item in servers if _selects(item, meta.get("labels") or {})}
    routes = await _routes(api, namespace, names)
    rows = []
    for policy in await items(api, f"{linkerd.POLICY}/v1alpha1/authorizationpolicies", namespace):
        reference, name = policy["spec"]["targetRef"], policy["metadata"]["name"]
        if reference["kind"] == "Server" and reference["name"] in names:
            rows.append(["*", reference["name"], name, ""])
        elif reference["kind"] == "HTTPRoute" and reference["name"] in routes:
            rows.append([reference["name"], routes[reference["name"]], name, ""])
        elif reference["kind"] == "Namespace":
            rows += [["*", server, name, ""] for server in sorted(names)]
    return sorted(rows)


def _selects(server: Object, labels: dict[str, str]) -> bool:
    wanted = server["spec"]["podSelector"].get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


async def _routes(api: KubeApi, namespace: str, servers: set[str]) -> dict[str, str]:
    """HTTPRoutes attached to one of the servers: route to server."""
    found = await items(api, f"{linkerd.POLICY}/v1beta3/httproutes", namespace)
    found += await items(api, linkerd.HTTP_ROUTES, namespace)
    return {
        route["metadata"]["name"]: parent["name"]
        for route in found
        for parent in route["spec"].get("parentRefs") or []
        if parent.get("kind") == "Server" and parent["name"] in servers
    }
