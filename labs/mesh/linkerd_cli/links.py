"""Links between clusters: creates them, and reads a gateway's state from the service mirror that probes it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from labs.embedded import plan
from labs.errors import LabError
from labs.mesh.linkerd_cli.cluster import find, items
from labs.mesh.linkerd_cli.manifests import CREATED_BY, Manifest
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi, Object

NAMESPACE = "linkerd-multicluster"
ACCOUNT = "linkerd-service-mirror-remote-access-default"
ADMIN_PORT = 9999


@dataclass(frozen=True)
class LinkOptions:
    """The options of ``link-gen``; empty fields are read from the cluster."""

    cluster: str
    api_server: str
    gateway_addresses: str = ""
    gateway_port: int = 0
    account: str = ACCOUNT


async def generate(api: KubeApi, options: LinkOptions, kubeconfig_cluster: dict[str, Any]) -> list[Manifest]:
    """Credentials for this cluster, and the Link; both are for the other cluster.

    Raises:
        LabError: multicluster is not installed here, its gateway has no address, or the account has no token.
    """
    gateway = await find(api, "services", NAMESPACE, "linkerd-gateway")
    if gateway is None:
        raise LabError(
            "could not find the gateway Service linkerd-gateway", fix="linkerd multicluster install | kubectl apply -f -"
        )
    addresses = options.gateway_addresses or ",".join(ingress(gateway))
    if not addresses:
        raise LabError(f"gateway linkerd-gateway.{NAMESPACE} has no ingress addresses")
    kubeconfig = remote_kubeconfig(options, await token_of(api, options.account), kubeconfig_cluster)
    return [*secrets(options.cluster, kubeconfig), link(options, gateway, addresses)]


def ingress(service: Object) -> list[str]:
    """The addresses of a LoadBalancer Service."""
    rows = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return [row.get("ip") or row.get("hostname", "") for row in rows]


async def token_of(api: KubeApi, account: str) -> str:
    """The token of the account that a linked cluster uses."""
    secret = await find(api, "secrets", NAMESPACE, f"{account}-token")
    if not secret or "token" not in secret.get("data", {}):
        raise LabError(
            f"could not find a token of ServiceAccount {account}", fix="try again: the API server may still be creating it"
        )
    return base64.b64decode(secret["data"]["token"]).decode()


def remote_kubeconfig(options: LinkOptions, token: str, cluster: dict[str, Any]) -> str:
    """A kubeconfig with one context for the service mirror; ``cluster`` is the entry in this command's own kubeconfig."""
    authority = cluster.get("certificate-authority-data")
    if not authority:
        with open(cluster["certificate-authority"], "rb") as file:
            authority = base64.b64encode(file.read()).decode()
    name, server = options.cluster, options.api_server or cluster["server"]
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": options.account, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": options.account}}],
            "current-context": name,
        }
    )


def secrets(cluster: str, kubeconfig: str) -> list[Manifest]:
    """The credentials for the service mirror, and the same for the destination controller, with the metadata that it needs."""
    data = {"kubeconfig": base64.b64encode(kubeconfig.encode()).decode()}
    domains = {linkerd.CREDENTIALS_CLUSTER_DOMAIN: "cluster.local", linkerd.CREDENTIALS_TRUST_DOMAIN: linkerd.TRUST_DOMAIN}
    labels = {linkerd.CREDENTIALS_CLUSTER: cluster}
    base = {"apiVersion": "v1", "kind": "Secret", "type": linkerd.CREDENTIALS_TYPE, "data": data}
    name = f"cluster-credentials-{cluster}"
    return [
        base | {"metadata": {"name": name, "namespace": NAMESPACE}},
        base | {"metadata": {"name": name, "namespace": "linkerd", "annotations": domains, "labels": labels}},
    ]


def link(options: LinkOptions, gateway: Object, addresses: str) -> Manifest:
    """The Link resource; its fields about the gateway come from the gateway Service's annotations and ports."""
    notes = gateway["metadata"].get("annotations", {})
    ports = {row["name"]: row["port"] for row in gateway["spec"]["ports"]}
    return {
        "apiVersion": linkerd.LINK_VERSION,
        "kind": "Link",
        "metadata": {"name": options.cluster, "namespace": NAMESPACE, "annotations": {linkerd.CREATED_BY: CREATED_BY}},
        "spec": {
            "clusterCredentialsSecret": f"cluster-credentials-{options.cluster}",
            "federatedServiceSelector": {"matchLabels": {linkerd.FEDERATED: "member"}},
            "gatewayAddress": addresses,
            "gatewayIdentity": notes[linkerd.GATEWAY_IDENTITY],
            "gatewayPort": str(options.gateway_port or ports["mc-gateway"]),
            "probeSpec": {
                "path": notes[linkerd.GATEWAY_PROBE_PATH],
                "period": f"{notes[linkerd.GATEWAY_PROBE_PERIOD]}s",
                "port": str(ports["mc-probe"]),
            },
            "remoteDiscoverySelector": {"matchLabels": {linkerd.EXPORTED: "remote-discovery"}},
            "selector": {"matchLabels": {linkerd.EXPORTED: "true"}},
            "targetClusterDomain": "cluster.local",
            "targetClusterLinkerdNamespace": "linkerd",
            "targetClusterName": options.cluster,
        },
    }


@dataclass(frozen=True)
class GatewayState:
    """What the service mirror knows about a link's gateway; ``latency_ms`` is None while the gateway is not alive."""

    cluster: str
    alive: bool
    services: int
    latency_ms: float | None


async def gateways(api: KubeApi) -> list[GatewayState]:
    """The gateway state of every link that has a controller, sorted by name."""
    controllers = await items(api, "pods", NAMESPACE, labelSelector="component=controller")
    states = [await _state(pod) for pod in controllers if pod["metadata"].get("deletionTimestamp") is None]
    return sorted(states, key=lambda state: state.cluster)


async def _state(pod: Object) -> GatewayState:
    cluster = pod["metadata"]["labels"][linkerd.MIRROR_CLUSTER]
    found = await pod_metrics(pod, ADMIN_PORT)
    alive = found.get("gateway_alive", 0) == 1
    latency = found.get("gateway_latency") if alive else None
    return GatewayState(cluster, alive, int(found.get("mirrored_services", 0)), latency)


async def pod_metrics(pod: Object, port: int) -> dict[str, float]:
    """Samples of a pod's ``/metrics`` by name (the last one of each); empty if it does not answer."""
    try:
        text = await scrape(pod, port)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return {}
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


async def scrape(pod: Object, port: int) -> str:
    """A pod's ``/metrics``, requested directly from the pod's address on this machine (a real Linkerd forwards a port)."""
    url = f"http://{plan.network().dial(pod['status']['podIP'])}:{port}/metrics"
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
        response.raise_for_status()
        return await response.text()
