"""Whom a pod admits, against recordings/linkerd files 20 to 26."""

from __future__ import annotations

from typing import Any

import pytest

from labs.pods.mesh_standin.default_policy import cluster_default_policy
from labs.pods.mesh_standin.inbound_policy import PolicyIndex
from labs.pods.mesh_standin.opaque_ports import is_opaque
from labs.pods.mesh_standin.proxy_config import CLUSTER_NETWORKS, EVERYWHERE, InboundPort
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.objects import Object, mtls, needs, policy, to_server

CLIENT = "client.demo.serviceaccount.identity.linkerd.cluster.local"


def inbound(namespace: Object | None = None, pod: Object | None = None, **resources: list[Object]) -> InboundPort:
    """Port 8080 of the pod."""
    ports = PolicyIndex(resources).inbound(pod or objects.pod(), namespace or objects.namespace())
    assert [port["port"] for port in ports] == [8080]
    return ports[0]


def admitted(port: InboundPort) -> list[tuple[str, list[str] | None]]:
    """Name and identities of each authorization of the last route."""
    return [(item["ref"]["name"], item["identities"]) for item in port["routes"][-1]["authorizations"]]


def test_without_policy_everybody_is_admitted() -> None:
    port = inbound()
    assert port["server"] == {"group": "", "kind": "default", "name": "all-unauthenticated"}
    assert admitted(port) == [("all-unauthenticated", None)]


@pytest.mark.parametrize(
    ("value", "name", "identities", "networks"),
    [
        ("all-authenticated", "all-authenticated", ["*"], EVERYWHERE),
        ("cluster-authenticated", "cluster-authenticated", ["*"], CLUSTER_NETWORKS),
        ("cluster-unauthenticated", "cluster-unauthenticated", None, CLUSTER_NETWORKS),
        ("audit", "audit", None, EVERYWHERE),
        ("bogus", "all-unauthenticated", None, EVERYWHERE),
    ],
)
def test_default_policies(value: str, name: str, identities: list[str] | None, networks: tuple[str, ...]) -> None:
    port = inbound(objects.namespace(**{"config.linkerd.io/default-inbound-policy": value}))
    assert admitted(port) == [(name, identities)]
    assert port["routes"][-1]["authorizations"][0]["networks"] == list(networks)


def test_default_deny_admits_probes_only() -> None:
    port = inbound(objects.namespace(**{"config.linkerd.io/default-inbound-policy": "deny"}))
    assert admitted(port) == []
    probe = port["routes"][0]
    assert (probe["ref"]["name"], probe["matches"]) == ("probe", [{"path_type": "Exact", "path": "/healthz", "method": "GET"}])
    assert probe["authorizations"][0]["identities"] is None


def test_the_pods_annotation_wins() -> None:
    pod = objects.pod(annotations={"config.linkerd.io/default-inbound-policy": "all-authenticated"})
    port = inbound(objects.namespace(**{"config.linkerd.io/default-inbound-policy": "deny"}), pod)
    assert admitted(port) == [("all-authenticated", ["*"])]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("8080", True), ("25, 8080", True), ("http", True), ("8000-8090", True), ("8081", False), ("", False), ("80-x", False)],
)
def test_a_port_is_opaque_where_its_pod_says_so(listed: str, expected: bool) -> None:
    pod = objects.pod(annotations={"config.linkerd.io/opaque-ports": listed})
    assert inbound(pod=pod)["opaque"] is expected
    # A Server knows better.
    assert not inbound(pod=pod, servers=[objects.server(proxyProtocol="HTTP/1")])["opaque"]


@pytest.mark.parametrize(("annotations", "expected"), [({}, True), ({"config.linkerd.io/opaque-ports": "1"}, False)])
def test_the_annotation_takes_the_place_of_the_default_list(annotations: dict[str, str], expected: bool) -> None:
    assert is_opaque({"metadata": {"annotations": annotations}}, 6379, None) is expected


def test_a_server_without_policies_admits_nobody() -> None:
    port = inbound(servers=[objects.server()])
    assert port["server"] == {"group": "policy.linkerd.io", "kind": "server", "name": "server-http"}
    assert admitted(port) == []


@pytest.mark.parametrize("port", ["http", 8080, "8080"])
def test_a_server_selects_by_name_and_by_number(port: object) -> None:
    assert inbound(servers=[objects.server(port=port)])["server"]["kind"] == "server"


@pytest.mark.parametrize("spec", [{"port": "grpc"}, {"podSelector": {"matchLabels": {"app": "other"}}}])
def test_a_server_for_something_else_does_not_count(spec: Object) -> None:
    assert inbound(servers=[objects.server(**spec)])["server"]["kind"] == "default"


def test_policies_admit_identities_and_accounts() -> None:
    refs = [{"kind": "ServiceAccount", "name": "client"}, {"kind": "Namespace", "name": "shop"}]
    port = inbound(
        servers=[objects.server()],
        authorizationpolicies=[
            policy("by-name", to_server(), needs("MeshTLSAuthentication", "by-name")),
            policy("by-ref", to_server(), needs("MeshTLSAuthentication", "by-ref")),
            policy("elsewhere", to_server("other-server"), needs("MeshTLSAuthentication", "by-ref")),
            policy("whole-namespace", {"kind": "Namespace", "name": "demo"}, {"kind": "ServiceAccount", "name": "client"}),
        ],
        meshtlsauthentications=[mtls("by-name", identities=["*"]), mtls("by-ref", identityRefs=refs)],
    )
    assert admitted(port) == [
        ("by-name", ["*"]),
        ("by-ref", [CLIENT, "*.shop.serviceaccount.identity.linkerd.cluster.local"]),
        ("whole-namespace", [CLIENT]),
    ]


def test_both_authentications_of_a_policy_are_required() -> None:
    port = inbound(
        servers=[objects.server()],
        authorizationpolicies=[
            policy("both", to_server(), needs("MeshTLSAuthentication", "any"), needs("NetworkAuthentication", "pods"))
        ],
        meshtlsauthentications=[mtls("any", identities=["*"])],
        networkauthentications=[mtls("pods", networks=[{"cidr": "10.10.0.0/16"}])],
    )
    only = port["routes"][-1]["authorizations"][0]
    assert (only["identities"], only["networks"]) == (["*"], ["10.10.0.0/16"])


def test_a_policy_whose_authentication_is_missing_admits_nobody() -> None:
    missing = policy("dangling", to_server(), needs("MeshTLSAuthentication", "gone"))
    assert admitted(inbound(servers=[objects.server()], authorizationpolicies=[missing])) == []


def test_audit_on_a_server_admits_after_the_policies() -> None:
    named = policy("named", to_server(), {"kind": "ServiceAccount", "name": "client"})
    port = inbound(servers=[objects.server(accessPolicy="audit")], authorizationpolicies=[named])
    assert admitted(port) == [("named", [CLIENT]), ("audit", None)]


def test_an_attached_route_replaces_the_default_and_the_probe_route() -> None:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": objects.meta("server-get"),
        "spec": {
            "parentRefs": [to_server()],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/public"}, "method": "GET"}]}],
        },
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "server-get"}
    port = inbound(
        servers=[objects.server()],
        httproutes=[route],
        authorizationpolicies=[policy("public-get", target, needs("NetworkAuthentication", "everyone"))],
        networkauthentications=[mtls("everyone", networks=[{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}])],
    )
    assert [r["ref"]["name"] for r in port["routes"]] == ["server-get"]
    assert port["routes"][0]["matches"] == [{"path_type": "PathPrefix", "path": "/public", "method": "GET"}]
    assert admitted(port) == [("public-get", None)]


def with_route(**spec: Any) -> Any:
    """The port under a Server with one route, which the Server itself admits nobody to."""
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "metadata": objects.meta("get"), "spec": spec}
    return inbound(servers=[objects.server()], httproutes=[route])


def test_the_rules_of_a_route_have_their_own_matches_and_filters() -> None:
    changed = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-a"]}}
    rules = [{"matches": [{"queryParams": [{"name": "v", "value": "2"}]}]}, {"filters": [changed]}]
    port = with_route(parentRefs=[to_server()], hostnames=["server.demo"], rules=rules)
    first, second = port["routes"]
    assert first["matches"] == [
        {"path_type": "PathPrefix", "path": "/", "query": [{"name": "v", "value": "2", "regex": False}], "host": "server.demo"}
    ]
    assert second["filters"] == {"request": {"remove": ["x-a"], "append": []}} and "filters" not in first


def test_an_unusable_route_leaves_the_servers_own() -> None:
    port = with_route(parentRefs=[to_server()], rules=[{"filters": [{"type": "URLRewrite", "urlRewrite": {}}]}])
    assert [route["ref"]["name"] for route in port["routes"]] == ["probe", "default"]


@pytest.mark.parametrize("more", [{"port": 8080}, {"sectionName": "http"}, {"namespace": "elsewhere"}])
def test_a_server_is_referred_to_by_its_name_alone(more: dict[str, Any]) -> None:
    port = with_route(parentRefs=[to_server() | more], rules=[{}])
    assert [route["ref"]["name"] for route in port["routes"]] == ["probe", "default"]


def test_connections_are_not_judged_by_a_routes_authorizations() -> None:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": objects.meta("get"),
        "spec": {"parentRefs": [to_server()], "rules": [{}]},
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "get"}
    port = inbound(
        servers=[objects.server(proxyProtocol="opaque")],
        httproutes=[route],
        authorizationpolicies=[policy("all", target, needs("NetworkAuthentication", "everyone"))],
        networkauthentications=[mtls("everyone", networks=[{"cidr": "0.0.0.0/0"}])],
    )
    assert admitted(port) and port["authorizations"] == []


def test_only_the_gateways_port_of_a_proxy_is_declared() -> None:
    pod = objects.pod()
    ports = [{"name": "linkerd-proxy", "containerPort": 4143}, {"name": "linkerd-admin", "containerPort": 4191}]
    pod["spec"]["initContainers"] = [{"name": "linkerd-proxy", "restartPolicy": "Always", "ports": ports}]
    assert [port["port"] for port in PolicyIndex({}).inbound(pod, None)] == [8080, 4143]


def test_the_clusters_default_holds_where_nothing_is_annotated() -> None:
    default = cluster_default_policy({"DEFAULT_INBOUND_POLICY": "deny"})
    (port,) = PolicyIndex({}, default).inbound(objects.pod(), objects.namespace())
    assert (port["server"]["name"], admitted(port)) == ("deny", [])
    annotated = objects.namespace(**{"config.linkerd.io/default-inbound-policy": "all-authenticated"})
    (port,) = PolicyIndex({}, default).inbound(objects.pod(), annotated)
    assert admitted(port) == [("all-authenticated", ["*"])]
    assert cluster_default_policy({}) == "all-unauthenticated"


def test_excepted_networks_are_not_admitted() -> None:
    networks = {"networks": [{"cidr": "10.0.0.0/8", "except": ["10.10.2.0/24"]}]}
    allow = policy("net", to_server(), needs("NetworkAuthentication", "office"))
    office = {"metadata": objects.meta("office"), "spec": networks}
    port = inbound(servers=[objects.server()], authorizationpolicies=[allow], networkauthentications=[office])
    (found,) = port["routes"][-1]["authorizations"]
    assert (found["networks"], found["excepted"]) == (["10.0.0.0/8"], ["10.10.2.0/24"])


@pytest.mark.parametrize("target", [to_server("nowhere"), {"group": "policy.linkerd.io", "kind": "HTTPRoute", "name": "nowhere"}])
def test_a_policy_for_what_does_not_exist_changes_nothing(target: Object) -> None:
    allow = policy("lost", target, needs("ServiceAccount", "client"))
    assert inbound(authorizationpolicies=[allow]) == inbound()
    assert admitted(inbound(servers=[objects.server()], authorizationpolicies=[allow])) == []


def test_policies_that_differ_add_up() -> None:
    policies = [policy(name, to_server(), needs("ServiceAccount", name)) for name in ("one", "two")]
    port = inbound(servers=[objects.server()], authorizationpolicies=policies)
    assert [name for name, _ in admitted(port)] == ["one", "two"]


def test_of_two_servers_for_one_port_the_older_one_counts() -> None:
    older, newer = objects.server("older"), objects.server("newer", accessPolicy="all-unauthenticated")
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    newer["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    assert inbound(servers=[newer, older])["server"]["name"] == "older"
