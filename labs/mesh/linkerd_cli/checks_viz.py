"""The checks that ``linkerd viz check`` runs: on the lab's Prometheus and the proxies' metrics in it."""

from __future__ import annotations

from labs.errors import LabError
from labs.mesh.linkerd_cli.checking import CheckError, Skip
from labs.mesh.linkerd_cli.checks_control_plane import proxy_status
from labs.mesh.linkerd_cli.cluster import find, items
from labs.mesh.linkerd_cli.metrics_api import Prometheus
from labs.wire.kube_api import KubeApi

NAMESPACE = "linkerd-viz"


async def namespace_exists(api: KubeApi) -> None:
    if await find(api, "namespaces", None, NAMESPACE) is None:
        raise CheckError(f'could not find the {NAMESPACE} extension: namespaces "{NAMESPACE}" not found')


async def prometheus_answers(api: KubeApi) -> None:
    try:
        await (await Prometheus.of(api)).query("up")
    except LabError as error:
        raise CheckError(str(error)) from None


async def has_proxy_metrics(api: KubeApi) -> None:
    """Each running proxy must be a target that is up; skipped if no pod is meshed."""
    pods = {pod["metadata"]["name"] for pod in await items(api, "pods") if (proxy_status(pod) or {}).get("ready")}
    if not pods:
        raise Skip
    up = await (await Prometheus.of(api)).grouped('max by (pod) (up{job="linkerd-proxy"}) == 1', ["pod"])
    if missing := sorted(pods - {pod for (pod,) in up}):
        raise CheckError("Data plane metrics not found for " + ", ".join(missing))
