"""Which node's address a Service gets, and what the controller writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from labs.pods.load_balancer.addresses import assign, node_address
from labs.pods.load_balancer.main import LoadBalancer


def service(uid: str, *ports: int, ip: str | None = None, kind: str = "LoadBalancer", **spec: Any) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": ip}]} if ip else {}}
    rows = [{"port": port} for port in ports]
    metadata = {
        "uid": uid,
        "name": uid,
        "namespace": "ns",
        "resourceVersion": "1",
        "creationTimestamp": f"2026-01-01T00:00:0{len(uid)}Z",
    }
    return {"metadata": metadata, "spec": {"type": kind, "ports": rows, **spec}, "status": status}


def node(name: str, address: str, ready: str = "True") -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    status = {"conditions": [{"type": "Ready", "status": ready}], "addresses": addresses}
    return {"metadata": {"uid": name, "name": name}, "status": status}


def test_a_service_gets_the_first_nodes_address() -> None:
    assert assign([service("a", 4143, 4191)], ["172.18.0.3", "172.18.0.4"]) == {"a": "172.18.0.3"}


def test_services_with_a_port_in_common_get_different_nodes_until_none_is_left() -> None:
    three = [service("a", 4143), service("bb", 4143, 80), service("ccc", 80)]
    assert assign(three, ["n1", "n2"]) == {"a": "n1", "bb": "n2", "ccc": "n1"}
    assert assign([service("a", 80), service("bb", 80)], ["n1"]) == {"a": "n1", "bb": None}


def test_the_same_number_of_another_protocol_is_another_port() -> None:
    udp = service("bb")
    udp["spec"]["ports"] = [{"port": 53, "protocol": "UDP"}]
    assert assign([service("a", 53), udp], ["n1"]) == {"a": "n1", "bb": "n1"}


def test_an_address_stays_unless_its_node_is_gone() -> None:
    assert assign([service("a", 80, ip="n2")], ["n1", "n2"]) == {"a": "n2"}
    assert assign([service("a", 80, ip="n9")], ["n1", "n2"]) == {"a": "n1"}


def test_who_has_an_address_is_not_pushed_out_by_an_older_service() -> None:
    assert assign([service("a", 80), service("bb", 80, ip="n1")], ["n1"]) == {"a": None, "bb": "n1"}


def test_other_types_and_other_classes_are_left_alone() -> None:
    others = [service("a", 80, kind="ClusterIP"), service("bb", 80, loadBalancerClass="example.com/other")]
    assert assign(others, ["n1"]) == {}


def test_only_ready_nodes_have_an_address_to_give() -> None:
    assert node_address(node("n", "172.18.0.3")) == "172.18.0.3"
    assert node_address(node("n", "172.18.0.3", ready="Unknown")) is None
    assert node_address({"metadata": {}}) is None


class FakeApi:
    """Feeds two nodes and the Services once; remembers what was written."""

    def __init__(self, services: list[dict[str, Any]]) -> None:
        self._items = {"nodes": [node("n2", "172.18.0.4"), node("n1", "172.18.0.3")], "services": services}
        self.written: list[tuple[str, str, Any, str]] = []

    async def follow(self, resource: str, on_change: Any) -> None:
        for item in self._items[resource]:
            on_change("ADDED", item)
        await asyncio.Event().wait()

    async def patch(self, resource: str, namespace: str, name: str, body: Any, *, sub: str) -> None:
        self.written.append((namespace, name, body, sub))


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (service("a", 4143), {"ingress": [{"ip": "172.18.0.3"}]}),
        (service("a", 4143, ip="172.18.0.9"), {"ingress": [{"ip": "172.18.0.3"}]}),
    ],
)
async def test_the_status_is_written_where_it_is_not_as_it_should_be(given: dict[str, Any], written: dict[str, Any]) -> None:
    api = FakeApi([given, service("bb", 80, ip="172.18.0.4")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await LoadBalancer(api).run()  # type: ignore[arg-type]
    assert api.written == [("ns", "a", {"status": {"loadBalancer": written}}, "status")]
