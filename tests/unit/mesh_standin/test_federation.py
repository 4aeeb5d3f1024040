"""Flat and federated services, against the objects of recordings/linkerd files 60 and 62."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from labs.pods.mesh_standin import federation
from labs.pods.mesh_standin.endpoints import service_ports
from labs.pods.mesh_standin.gateway_probe import ProbeMetrics
from labs.pods.mesh_standin.remote_clusters import RemoteCluster, RemoteClusters
from labs.pods.mesh_standin.service_mirror import LinkWorker
from labs.wire import linkerd
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.test_mirror_objects import REMOTE


def gpu() -> RemoteCluster:
    """Cluster gpu with one pod of Service ``server``."""
    found = RemoteCluster()
    found.objects["pods"] = {"a": objects.pod("server-9", address="10.20.1.5")}
    found.objects["endpointslices"] = {"b": objects.endpoint_slice("10.20.1.5")}
    return found


def flat() -> dict[str, Any]:
    mirror = federation.flat_service(REMOTE, "gpu", "cluster.local")
    mirror["metadata"]["uid"] = "flat"
    return mirror | {"spec": mirror["spec"] | {"clusterIP": "10.11.0.8"}}


def federated(local: str | None, *remotes: str) -> dict[str, Any]:
    found = federation.federated_service(REMOTE, local, list(remotes))
    return found | {"spec": found["spec"] | {"clusterIP": "10.11.0.7"}}


def test_a_flat_mirror_says_where_to_look() -> None:
    labels = flat()["metadata"]["labels"]
    assert labels["multicluster.linkerd.io/remote-discovery"] == "gpu"
    assert labels["multicluster.linkerd.io/remote-service"] == "server"
    assert labels["mirror.linkerd.io/mirrored-service"] == "true"


def test_a_flat_mirror_has_the_other_clusters_pods_and_keeps_the_host() -> None:
    (port,) = service_ports([flat()], [], [], remotes={"gpu": gpu()})
    (endpoint,) = port["endpoints"]
    assert port["remote_authority"] is None
    assert endpoint["address"] == "10.20.1.5"
    assert endpoint["identity"] == "server.demo.serviceaccount.identity.linkerd.cluster.local"
    assert endpoint["labels"]["dst_service"] == "server"


def test_without_the_clusters_credentials_a_flat_mirror_is_empty() -> None:
    (port,) = service_ports([flat()], [], [], remotes={})
    assert port["endpoints"] == []


def test_a_federated_service_as_a_real_linkerd_makes_it() -> None:
    meta = federated("server", "server@gpu")["metadata"]
    assert meta["name"] == "server-federated"
    assert meta["labels"] == {"app": "server", "mirror.linkerd.io/exported": "true", "mirror.linkerd.io/mirrored-service": "true"}
    assert meta["annotations"] == {
        "owner": "us",
        "multicluster.linkerd.io/local-discovery": "server",
        "multicluster.linkerd.io/remote-discovery": "server@gpu",
    }


@pytest.mark.parametrize(
    ("service", "addresses"),
    [
        (federated("server", "server@gpu"), ["10.10.1.5", "10.20.1.5"]),
        (federated(None, "server@gpu"), ["10.20.1.5"]),
        (federated("server", "server@gone"), ["10.10.1.5"]),
    ],
)
def test_a_federated_service_has_the_pods_of_all_members(service: dict[str, Any], addresses: list[str]) -> None:
    local = [objects.endpoint_slice("10.10.1.5")]
    (port,) = service_ports([service], local, [objects.pod()], remotes={"gpu": gpu()})
    assert [endpoint["address"] for endpoint in port["endpoints"]] == addresses


def secret(kubeconfig: str) -> dict[str, Any]:
    data = {"kubeconfig": base64.b64encode(kubeconfig.encode()).decode()}
    return {"metadata": {"name": "cluster-credentials-gpu", "labels": {linkerd.CREDENTIALS_CLUSTER: "gpu"}}, "data": data}


async def test_a_clusters_endpoints_go_with_its_secret() -> None:
    changes: list[None] = []
    remotes = RemoteClusters(lambda: changes.append(None))
    remotes._secret_changed("ADDED", secret("no kubeconfig"))
    assert set(remotes.clusters) == {"gpu"}
    await asyncio.sleep(0)  # credentials that cannot be read are no reason to fall over
    remotes._secret_changed("DELETED", secret("no kubeconfig"))
    assert remotes.clusters == {} and changes


LINK: dict[str, Any] = {
    "metadata": {"name": "gpu", "namespace": "linkerd-multicluster", "uid": "1"},
    "spec": {
        "targetClusterName": "gpu",
        "gatewayAddress": "10.21.0.9",
        "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}},
        "remoteDiscoverySelector": {"matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}},
        "federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "member"}},
    },
}


class RecordingApi:
    """Keeps what was applied and deleted; knows the Services a test gives it."""

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services = list(services)
        self.done: list[tuple[str, str, str]] = []
        self.status: dict[str, Any] = {}

    async def apply(self, resource: str, namespace: str, name: str, body: dict[str, Any], *, manager: str) -> None:
        self.done.append(("apply", resource, name))

    async def delete(self, resource: str, namespace: str, name: str) -> None:
        self.done.append(("delete", resource, name))

    async def patch(self, resource: str, namespace: str, name: str, body: dict[str, Any], *, sub: str | None = None) -> None:
        self.done.append(("patch", resource, name))
        self.status = body.get("status", self.status)

    async def list(self, resource: str, **selectors: str) -> dict[str, Any]:
        if linkerd.MIRROR_CLUSTER in selectors["labelSelector"]:
            return {"items": []}
        return {"items": self.services}


def worker(api: RecordingApi, **labels: str) -> LinkWorker:
    """The worker of a link whose cluster has Service ``server`` with these labels."""
    found = LinkWorker(api, LINK, {"demo"}, ProbeMetrics(CollectorRegistry()))  # type: ignore[arg-type]
    remote = REMOTE | {"metadata": REMOTE["metadata"] | {"labels": {"app": "server", **labels}}}
    found._service_changed("ADDED", remote)
    return found


async def reconcile(found: LinkWorker) -> None:
    await found.writer.reconcile(found.wanted(), found.federated(), found.skipped(), True)


async def test_a_link_makes_a_flat_mirror_without_endpoints() -> None:
    api = RecordingApi()
    await reconcile(worker(api, **{"mirror.linkerd.io/exported": "remote-discovery"}))
    assert ("apply", "services", "server-gpu") in api.done and ("apply", "endpoints", "server-gpu") not in api.done
    assert [row["remoteRef"]["name"] for row in api.status["mirrorServices"]] == ["server"]


async def test_a_link_joins_its_member_to_those_that_are_there() -> None:
    api = RecordingApi()
    found = worker(api, **{"mirror.linkerd.io/federated": "member"})
    local = objects.service("server", labels={"mirror.linkerd.io/federated": "member"})
    found._local_changed("ADDED", local)
    found._local_changed("ADDED", federated("server", "server@west"))
    ((_, made),) = found.federated()
    assert made["metadata"]["annotations"]["multicluster.linkerd.io/remote-discovery"] == "server@gpu,server@west"
    assert made["metadata"]["annotations"]["multicluster.linkerd.io/local-discovery"] == "server"
    await reconcile(found)
    assert ("apply", "services", "server-federated") in api.done
    assert [row["conditions"][0]["localRef"]["name"] for row in api.status["federatedServices"]] == ["server-federated"]


@pytest.mark.parametrize(
    ("local", "remotes", "action"), [("server", ["server@gpu"], "patch"), (None, ["server@gpu"], "delete"), (None, ["x@y"], None)]
)
async def test_a_member_that_leaves_takes_only_itself_along(local: str | None, remotes: list[str], action: str | None) -> None:
    api = RecordingApi(federated(local, *remotes))
    await reconcile(worker(api))
    assert [done for done, _, name in api.done if name == "server-federated"] == ([action] if action else [])
