"""The checks that ``linkerd multicluster check`` runs: on links, credentials, service mirrors and gateways."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import yaml

from labs.mesh.linkerd_cli import links
from labs.mesh.linkerd_cli.checking import CheckError, Skip
from labs.mesh.linkerd_cli.checks_control_plane import is_ready, proxy_status, values
from labs.mesh.linkerd_cli.cluster import find, items
from labs.mesh.linkerd_cli.manifests import CREATED_BY
from labs.wire import linkerd
from labs.wire.kube_api import ApiError, KubeApi, Object
from labs.wire.kubeconfig import credentials

MIRRORED = f"{linkerd.MIRRORED_SERVICE}=true"
CONTROLLER_RIGHTS = [("services", "", "create"), ("endpoints", "", "create"), ("namespaces", "", "watch")]


async def link_crd_exists(api: KubeApi) -> None:
    kind = "apiextensions.k8s.io/v1/customresourcedefinitions"
    if await find(api, kind, None, linkerd.LINK_CRD) is None:
        raise CheckError(f"{linkerd.LINK_VERSION.partition('/')[0]}/Link CRD is missing")


def for_links(look: Callable[[KubeApi, Object], Awaitable[None]]) -> Callable[[KubeApi], Awaitable[Sequence[str]]]:
    """A check of every Link, reported together; skipped if there are no Links."""

    async def look_at_all(api: KubeApi) -> Sequence[str]:
        found = await items(api, linkerd.LINKS, links.NAMESPACE)
        if not found:
            raise Skip
        problems = []
        for link in found:
            try:
                await look(api, link)
            except CheckError as error:
                problems.append(str(error))
        if problems:
            raise CheckError("\n".join(f"    {problem}" for problem in problems))
        return [link["spec"]["targetClusterName"] for link in found]

    return look_at_all


async def is_valid(_: KubeApi, link: Object) -> None:
    """What the schema cannot require: a gateway address comes with a port and an identity, and the names are the same."""
    spec, name = link["spec"], link["metadata"]["name"]
    if spec.get("gatewayAddress") and not (spec.get("gatewayPort") and spec.get("gatewayIdentity")):
        raise CheckError(f"Link {name} has a gatewayAddress but no gatewayPort or gatewayIdentity")
    if name != spec["targetClusterName"]:
        raise CheckError(f"Link {name} has another targetClusterName: {spec['targetClusterName']}")


async def made_by_this_version(_: KubeApi, link: Object) -> None:
    found = (link["metadata"].get("annotations") or {}).get(linkerd.CREATED_BY, "")
    if found != CREATED_BY:
        raise CheckError(f"Link {link['metadata']['name']}: created by {found or 'another tool'}, this is {CREATED_BY}")


@contextlib.asynccontextmanager
async def remote_api(api: KubeApi, link: Object) -> AsyncIterator[KubeApi]:
    """The other cluster's API server, with the link's credentials.

    Raises:
        CheckError: the Secret is missing, or does not contain a kubeconfig.
    """
    name = link["spec"]["clusterCredentialsSecret"]
    secret = await find(api, "secrets", links.NAMESPACE, name)
    if secret is None:
        raise CheckError(f"secret: [{links.NAMESPACE}/{name}]: secrets {name!r} not found")
    with tempfile.TemporaryDirectory(prefix="linkerd-") as folder:
        try:
            found = credentials(yaml.safe_load(base64.b64decode(secret["data"]["kubeconfig"])), Path(folder))
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise CheckError(f"secret: [{links.NAMESPACE}/{name}]: could not parse kubeconfig: {error}") from None
        async with KubeApi(found) as remote:
            yield remote


async def can_list_services(api: KubeApi, link: Object) -> None:
    async with remote_api(api, link) as remote:
        try:
            await remote.list("services", limit="1")
        except (ApiError, OSError, TimeoutError) as error:
            raise CheckError(f"{link['spec']['targetClusterName']}: {error}") from None


async def shares_anchors(api: KubeApi, link: Object) -> None:
    local = await values(api)
    name, namespace = link["spec"]["targetClusterName"], link["spec"]["targetClusterLinkerdNamespace"]
    async with remote_api(api, link) as remote:
        try:
            stored = await remote.get("configmaps", namespace, "linkerd-config")
        except (ApiError, OSError, TimeoutError) as error:
            raise CheckError(f"* {name}: unable to fetch anchors: {error}") from None
    other = yaml.safe_load(stored["data"]["values"])
    if local["identityTrustAnchorsPEM"].split() != other["identityTrustAnchorsPEM"].split():
        raise CheckError(f"Problematic clusters:\n    * {name}")


async def has_permissions(api: KubeApi, link: Object) -> None:
    name = link["spec"]["targetClusterName"]
    user = f"system:serviceaccount:{links.NAMESPACE}:controller-{name}"
    for resource, group, verb in CONTROLLER_RIGHTS:
        review = await api.create(
            "authorization.k8s.io/v1/subjectaccessreviews",
            None,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": {"resource": resource, "group": group, "verb": verb}},
            },
        )
        if not review["status"]["allowed"]:
            raise CheckError(f"{name}: ServiceAccount controller-{name} may not {verb} {resource}")


async def controller_runs(api: KubeApi, link: Object) -> None:
    name = link["spec"]["targetClusterName"]
    pods = await items(api, "pods", links.NAMESPACE, labelSelector=f"component=controller,{linkerd.MIRROR_CLUSTER}={name}")
    if not any(is_ready(pod) for pod in pods):
        raise CheckError(f"* {name}: no service mirror controller is ready")


async def controller_is_managed(api: KubeApi, link: Object) -> None:
    name = link["spec"]["targetClusterName"]
    controller = await find(api, "apps/v1/deployments", links.NAMESPACE, f"controller-{name}")
    if controller is None or (controller["metadata"].get("labels") or {}).get(linkerd.EXTENSION) != "multicluster":
        raise CheckError(f"* {name}: the Deployment controller-{name} is not the extension's own")


async def gateway_is_alive(api: KubeApi, link: Object) -> None:
    name = link["spec"]["targetClusterName"]
    if not link["spec"].get("gatewayAddress"):
        return
    state = next((state for state in await links.gateways(api) if state.cluster == name), None)
    if state is None or not state.alive:
        raise CheckError(f"liveness checks failed for {name}")


async def mirrors_have_endpoints(api: KubeApi) -> None:
    # A flat mirror has no Endpoints by design, and a federated Service has members instead.
    mirrors = await _mirrors(api, f"{MIRRORED},!{linkerd.REMOTE_DISCOVERY}")
    empty = []
    for meta in (mirror["metadata"] for mirror in mirrors):
        if {linkerd.REMOTE_DISCOVERY, linkerd.LOCAL_DISCOVERY} & (meta.get("annotations") or {}).keys():
            continue
        endpoints = await find(api, "endpoints", meta["namespace"], meta["name"])
        if not (endpoints or {}).get("subsets"):
            cluster = meta["labels"][linkerd.MIRROR_CLUSTER]
            empty.append(f"{meta['name']}.{meta['namespace']} mirrored from cluster [{cluster}] has no endpoints")
    if empty:
        raise CheckError("\n".join(empty))


async def mirrors_have_links(api: KubeApi) -> None:
    mirrors = await _mirrors(api, f"{MIRRORED},{linkerd.MIRROR_CLUSTER}")
    known = {link["spec"]["targetClusterName"] for link in await items(api, linkerd.LINKS, links.NAMESPACE)}
    orphans = [
        f"mirror service {meta['name']}.{meta['namespace']} is not part of any Link"
        for meta in (mirror["metadata"] for mirror in mirrors)
        if meta["labels"][linkerd.MIRROR_CLUSTER] not in known
    ]
    if orphans:
        raise CheckError("\n".join(orphans))


async def _mirrors(api: KubeApi, selector: str) -> list[Object]:
    """The mirror services that ``selector`` matches; skips the check if there are none."""
    found = await items(api, "services", labelSelector=selector)
    if not found:
        raise Skip
    return found


async def proxies_healthy(api: KubeApi) -> None:
    """Checks the gateway's proxy, the only one in the extension."""
    pods = [pod for pod in await items(api, "pods", links.NAMESPACE, labelSelector="app=linkerd-gateway") if is_wanted(pod)]
    for pod in pods:
        status = proxy_status(pod)
        if status is None:
            raise CheckError(f"pod {pod['metadata']['name']} has no linkerd-proxy: created while the injector was silent")
        if not status.get("ready"):
            raise CheckError(f"the proxy of {pod['metadata']['name']} is not ready")
    if not pods and await find(api, "apps/v1/deployments", links.NAMESPACE, "linkerd-gateway") is None:
        raise Skip


def is_wanted(pod: Object) -> bool:
    return pod["metadata"].get("deletionTimestamp") is None
