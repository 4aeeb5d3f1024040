"""EgressNetworks: which of them governs a call, what it lets pass, and what statuses say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from labs.pods.mesh_standin import egress
from labs.pods.mesh_standin.route_status import Known, parents
from labs.pods.mesh_standin.status_writer import changed
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import APP_PORT, MeshedPod, eventually

Object = dict[str, Any]
SERVICES = [objects.service("server")]
NO_OBJECTS: dict[str, dict[str, Object]] = {
    name: {}
    for name in (
        "servers",
        "services",
        "egressnetworks",
        "httplocalratelimitpolicies",
        "httproutes",
        "linkerd-httproutes",
        "tlsroutes",
    )
}


def network(policy: str = "Allow", *cidrs: str, name: str = "internet", namespace: str = "demo", created: str = "") -> Object:
    spec: Object = {"trafficPolicy": policy}
    if cidrs:
        spec["networks"] = [{"cidr": cidr} for cidr in cidrs]
    return {"metadata": objects.meta(name, namespace, creationTimestamp=created), "spec": spec}


def route(rule: Object, *, port: int | None = 80, name: str = "out", **spec: Any) -> Object:
    parent: Object = {"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": "internet"}
    if port:
        parent["port"] = port
    spec = {"parentRefs": [parent], "rules": [rule], **spec}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "metadata": objects.meta(name), "spec": spec}


def to(kind: str, name: str, **more: Any) -> Object:
    group = "policy.linkerd.io" if kind == "EgressNetwork" else ""
    return {"group": group, "kind": kind, "name": name, **more}


def names(namespace: str, *networks: Object) -> list[str]:
    return [item["name"] for item in egress.networks_for(namespace, networks, [], set())]


def test_a_namespaces_own_networks_come_before_the_shared_ones() -> None:
    own, shared = network(name="own"), network(name="shared", namespace=egress.GLOBAL_NAMESPACE)
    foreign = network(name="foreign", namespace="elsewhere")
    assert names("demo", own, shared, foreign) == ["own"]
    assert names("shop", own, shared, foreign) == ["shared"]


def test_the_older_of_two_is_preferred() -> None:
    assert names("demo", network(name="a", created="2026-01-02"), network(name="b", created="2026-01-01")) == ["b", "a"]


def test_without_networks_it_is_everything_outside_the_cluster() -> None:
    (found,) = egress.networks_for("demo", [network()], [], set())
    assert [row["cidr"] for row in found["networks"]] == ["0.0.0.0/0", "::/0"]
    assert "10.0.0.0/8" in found["networks"][0]["excepted"] and "fd00::/8" in found["networks"][1]["excepted"]


@pytest.mark.parametrize(
    ("cidrs", "reason"),
    [
        ((), "Accepted"),
        (("93.184.0.0/16",), "Accepted"),
        (("10.1.0.0/16",), "EgressReasonNetworkOverlap"),
        (("0.0.0.0/0",), "EgressReasonNetworkOverlap"),
        (("fd00:1::/32",), "EgressReasonNetworkOverlap"),
    ],
)
def test_a_network_with_addresses_of_the_cluster_is_not_accepted(cidrs: tuple[str, ...], reason: str) -> None:
    assert egress.condition(network("Deny", *cidrs))["reason"] == reason


def test_exceptions_keep_the_cluster_out() -> None:
    item = network("Deny", "8.0.0.0/6")  # 8.0.0.0 to 11.255.255.255
    assert egress.condition(item)["status"] == "False"
    item["spec"]["networks"][0]["except"] = ["10.0.0.0/7"]
    assert egress.condition(item)["status"] == "True"


def test_a_route_needs_a_port_and_its_own_network() -> None:
    backends = [to("EgressNetwork", "internet"), to("EgressNetwork", "other"), to("Service", "server", port=80)]
    routes = [route({"backendRefs": backends}), route({}, port=None)]
    (found,) = egress.networks_for("demo", [network()], routes, {("demo", "server", 80)})
    (only,) = found["routes"]
    errors = [backend.get("error") for backend in only["rule"]["backends"]]
    assert errors == [None, "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent", None]
    assert only["rule"]["backends"][0]["egress"] and only["port"] == 80


def conditions(item: Object, *, is_http: bool = True, networks: tuple[Object, ...] = (), taken: tuple[Object, ...] = ()) -> Any:
    (entry,) = parents(item, Known.of([], SERVICES, networks, taken), is_http=is_http)
    return {row["type"]: (row["status"], row["reason"], row["message"]) for row in entry["conditions"]}


def test_statuses_of_a_networks_routes() -> None:
    good = route({"backendRefs": [to("EgressNetwork", "internet")]})
    found = conditions(good, networks=(network(),))
    assert found == {"Accepted": ("True", "Accepted", ""), "ResolvedRefs": ("True", "ResolvedRefs", "")}
    words = "EgressNetwork parent has not been accepted"
    assert conditions(good, networks=(network("Allow", "10.0.0.0/8"),))["Accepted"] == ("False", "NoMatchingParent", words)
    assert conditions(good)["Accepted"] == ("False", "NoMatchingParent", "")
    assert conditions(good)["ResolvedRefs"] == ("False", "BackendNotFound", "")


def test_a_service_cannot_send_to_a_network() -> None:
    item = route({"backendRefs": [to("EgressNetwork", "internet")]})
    item["spec"]["parentRefs"] = [to("Service", "server", port=80)]
    words = "EgressNetwork backend needs to be on a route that has an EgressNetwork parent"
    assert conditions(item, networks=(network(),))["ResolvedRefs"] == ("False", "InvalidKind", words)


def test_a_tls_route_gives_way_to_an_http_route_of_the_same_parent() -> None:
    item = route({"backendRefs": [to("EgressNetwork", "internet")]}, port=443)
    assert conditions(item, is_http=False, networks=(network(),))["Accepted"] == ("True", "Accepted", "")
    other = route({}, port=443)
    found = conditions(item, is_http=False, networks=(network(),), taken=(other,))
    assert found["Accepted"] == ("False", "RouteReasonConflicted", "")


def test_statuses_are_written_once() -> None:
    limits = {"targetRef": to("Server", "none") | {"group": "policy.linkerd.io"}}
    known = NO_OBJECTS | {
        "egressnetworks": {"1": network()},
        "tlsroutes": {"2": route({}, port=443)},
        "httplocalratelimitpolicies": {"3": {"metadata": objects.meta("limits"), "spec": limits}},
    }
    found = list(changed(known))
    assert [resource.rpartition("/")[2] for resource, _, _ in found] == [
        "tlsroutes",
        "egressnetworks",
        "httplocalratelimitpolicies",
    ]
    for _, item, status in found:
        item["status"] = status
    assert list(changed(known)) == []


class Outside:
    """A meshed client whose calls that leave the cluster end at the control plane's own proxy."""

    def __init__(self, control_plane: ControlPlane, client: MeshedPod, server: MeshedPod) -> None:
        self.control_plane, self.client, self.server = control_plane, client, server
        self.generation = 0

    def govern(self, *networks: Object, routes: tuple[Object, ...] = ()) -> None:
        """Put these networks over the client's calls; a marker Service says when they are in force."""
        self.generation += 1
        marker: Any = {"namespace": "demo", "port": APP_PORT, "cluster_ip": "None", "remote_authority": None}
        marker["endpoints"] = [self.server.endpoint()]
        services = [marker | {"name": name} for name in (f"marker-{self.generation}", "server")]
        ports = {("demo", "server", APP_PORT)}
        found = egress.networks_for("demo", networks, routes, ports)
        self.control_plane.set("client", {"services": services, "egress": found})
        url = f"http://marker-{self.generation}.demo:{APP_PORT}/"
        assert eventually(lambda: self.client.identity in self.client.call(url).text)

    def call(self, url: str, **more: Any) -> tuple[int, str]:
        answer = self.client.call(url, **more)
        return answer.status, answer.headers.get("l5d-proxy-error", "")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    if shutil.which("envoy") is None:
        pytest.skip("no envoy on the PATH")
    control_plane, folder = ControlPlane("127.92.0.1"), tmp_path_factory.mktemp("pods")
    pods = [MeshedPod(control_plane, folder / name, f"127.92.1.{i}", name) for i, name in enumerate(("client", "server"), 1)]
    try:
        assert eventually(lambda: all(pod.is_ready() for pod in pods), 40)
        yield Outside(control_plane, *pods)
    finally:
        for pod in pods:
            pod.close()


URL = "http://www.example.com/a"
DENIED = (403, "traffic not allowed")
PASSED = (200, "")


@pytest.mark.timeout(120)
def test_calls_out_of_the_cluster_are_allowed_or_denied(outside: Outside) -> None:
    outside.govern()
    assert outside.call(URL) == PASSED
    outside.govern(network("Deny"))
    assert outside.call(URL) == DENIED
    assert outside.call("http://93.184.216.34:8080/") == DENIED
    assert outside.call("http://10.92.3.4/") == outside.call("http://127.92.3.4/") == PASSED  # inside
    outside.govern(network("Allow"))
    assert outside.call(URL) == PASSED
    labels = {"parent_kind": "EgressNetwork", "parent_name": "internet", "parent_port": "80", "route_kind": "default"}
    name = "outbound_http_route_request_statuses_total"
    assert eventually(lambda: outside.client.metrics(name, http_status="200", route_name="http-egress-allow", **labels) == 1)
    assert outside.client.metrics(name, http_status="403", route_name="http-egress-deny", **labels) == 1


@pytest.mark.timeout(120)
def test_the_narrowest_network_governs_an_address(outside: Outside) -> None:
    outside.govern(network("Deny"), network("Allow", "93.184.0.0/16", name="partner"))
    assert outside.call("http://93.184.216.34/") == PASSED
    assert outside.call("http://93.185.216.34/") == outside.call(URL) == DENIED


@pytest.mark.timeout(120)
def test_routes_open_a_denied_network_by_host_and_port(outside: Outside) -> None:
    opened = route({"backendRefs": [to("EgressNetwork", "internet")]}, hostnames=["www.example.com"])
    outside.govern(network("Deny"), routes=(opened,))
    assert outside.call(URL) == PASSED
    assert outside.call("http://www.example.com:8080/a") == outside.call("http://example.com/a") == DENIED
    forged = outside.call("http://other.example.com/a", headers={"l5d-egress-network": "demo/internet:80"})
    assert forged == DENIED


@pytest.mark.timeout(120)
def test_a_route_may_lead_back_into_the_cluster(outside: Outside) -> None:
    back = route({"backendRefs": [to("Service", "server", port=APP_PORT)]}, hostnames=["api.example.com"])
    outside.govern(network("Deny"), routes=(back,))
    answer = outside.client.call("http://api.example.com/x")
    assert answer.json()["path"] == "/x" and outside.client.identity in answer.text
