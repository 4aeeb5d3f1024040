"""What a proxy may call."""

from __future__ import annotations

from labs.pods.mesh_standin.endpoints import service_ports
from tests.unit.mesh_standin import objects

GATEWAY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"


def test_a_meshed_endpoint_has_identity_and_labels() -> None:
    (port,) = service_ports([objects.service()], [objects.endpoint_slice("10.10.1.5")], [objects.pod()])
    (endpoint,) = port["endpoints"]
    assert endpoint["identity"] == "server.demo.serviceaccount.identity.linkerd.cluster.local"
    assert endpoint["labels"] == {  # names and order of recordings/linkerd file 11
        "dst_control_plane_ns": "linkerd",
        "dst_deployment": "server",
        "dst_namespace": "demo",
        "dst_pod": "server-0",
        "dst_pod_template_hash": "996",
        "dst_serviceaccount": "server",
        "dst_service": "server",
        "dst_zone": "",
        "dst_zone_locality": "unknown",
    }


def test_an_unmeshed_endpoint_has_no_identity() -> None:
    (port,) = service_ports([objects.service()], [objects.endpoint_slice("10.10.1.5")], [objects.pod(meshed=False)])
    assert port["endpoints"][0]["identity"] is None


def test_what_is_not_ready_is_no_endpoint() -> None:
    (port,) = service_ports([objects.service()], [objects.endpoint_slice("10.10.1.5", ready=False)], [objects.pod()])
    assert port["endpoints"] == []


def test_a_mirrored_service_goes_to_the_gateways_identity() -> None:
    labels = {"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": "gpu"}
    annotations = {
        "mirror.linkerd.io/remote-svc-fq-name": "server.demo.svc.cluster.local",
        "mirror.linkerd.io/remote-gateway-identity": GATEWAY,
    }
    mirror = objects.service("server-gpu", labels=labels, annotations=annotations)
    endpoints = objects.endpoint_slice("10.21.0.7", service="server-gpu", port=4143, annotations=annotations)
    (port,) = service_ports([mirror], [endpoints], [])
    (endpoint,) = port["endpoints"]
    assert (port["remote_authority"], endpoint["identity"], endpoint["port"]) == ("server.demo.svc.cluster.local", GATEWAY, 4143)
    assert endpoint["labels"] == {
        "dst_namespace": "demo",
        "dst_service": "server-gpu",
        "dst_target_cluster": "gpu",
        "dst_target_service": "server",
        "dst_target_service_namespace": "demo",
        "dst_zone_locality": "unknown",
    }


def test_endpoints_of_another_service_do_not_mix() -> None:
    services = [objects.service(), objects.service("other")]
    other, server = service_ports(services, [objects.endpoint_slice("10.10.1.5")], [objects.pod()])
    assert (other["name"], other["endpoints"]) == ("other", [])
    assert len(server["endpoints"]) == 1
