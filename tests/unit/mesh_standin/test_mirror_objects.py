"""Mirrored objects against those a real Linkerd was seen to make (Service demo/server, link gpu)."""

from __future__ import annotations

import copy

from labs.pods.mesh_standin import mirror_objects as objects
from labs.pods.mesh_standin.mirror_objects import Gateway
from labs.wire.kube_api import Object

IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
GATEWAY = Gateway(("172.18.202.1",), 4143, IDENTITY)
REMOTE: Object = {
    "metadata": {
        "name": "server",
        "namespace": "demo",
        "labels": {"app": "server", "mirror.linkerd.io/exported": "true"},
        "annotations": {"owner": "us"},
        "resourceVersion": "3506",
    },
    "spec": {
        "clusterIP": "10.21.67.232",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http", "appProtocol": "http", "nodePort": 30000}
        ],
    },
}


def endpoints(alive: bool, has_endpoints: bool) -> Object:
    return objects.endpoints(REMOTE, "gpu", "cluster.local", GATEWAY, alive=alive, has_endpoints=has_endpoints)


def test_the_mirror_service() -> None:
    service = objects.service(REMOTE, "gpu", "cluster.local")
    assert service["metadata"] == {
        "name": "server-gpu",
        "namespace": "demo",
        "labels": {"app": "server", "mirror.linkerd.io/cluster-name": "gpu", "mirror.linkerd.io/mirrored-service": "true"},
        "annotations": {
            "owner": "us",
            "mirror.linkerd.io/remote-resource-version": "3506",
            "mirror.linkerd.io/remote-svc-fq-name": "server.demo.svc.cluster.local",
        },
    }
    assert service["spec"] == {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]}


def test_endpoints_are_the_gateway_under_the_services_port_names() -> None:
    found = endpoints(alive=True, has_endpoints=True)
    assert found["subsets"] == [
        {"addresses": [{"ip": "172.18.202.1"}], "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}]}
    ]
    assert found["metadata"]["annotations"]["mirror.linkerd.io/remote-gateway-identity"] == IDENTITY


def test_a_dead_gateway_moves_addresses_to_not_ready() -> None:
    (subset,) = endpoints(alive=False, has_endpoints=True)["subsets"]
    assert subset["notReadyAddresses"] == [{"ip": "172.18.202.1"}] and "addresses" not in subset


def test_nothing_behind_the_service_means_no_endpoints() -> None:
    assert endpoints(alive=True, has_endpoints=False)["subsets"] == []


def test_an_empty_selector_selects_nothing() -> None:
    assert not objects.matches({}, {"a": "b"}) and not objects.matches(None, {})
    assert objects.matches({"matchLabels": {"mirror.linkerd.io/exported": "true"}}, REMOTE["metadata"]["labels"])
    assert not objects.matches(
        {"matchLabels": {"mirror.linkerd.io/exported": "true"}}, {"mirror.linkerd.io/exported": "remote-discovery"}
    )


def test_match_expressions() -> None:
    def chosen(operator: str, values: list[str], labels: dict[str, str]) -> bool:
        return objects.matches({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}, labels)

    assert chosen("In", ["1"], {"a": "1"}) and not chosen("In", ["1"], {"a": "2"})
    assert chosen("NotIn", ["1"], {}) and chosen("Exists", [], {"a": ""}) and chosen("DoesNotExist", [], {})


def test_the_status_entry() -> None:
    entry = objects.status_entry(copy.deepcopy(REMOTE), "server-gpu", "2026-11-24T14:45:40Z")
    assert entry["remoteRef"] == {"group": "core", "kind": "Service", "name": "server", "namespace": "demo"}
    (condition,) = entry["conditions"]
    assert (condition["status"], condition["reason"], condition["localRef"]["name"]) == ("True", "Mirrored", "server-gpu")
