"""The status of HTTPRoutes, as recordings/linkerd files 24 and 34 have it."""

from __future__ import annotations

from typing import Any

import pytest

from labs.pods.mesh_standin.route_status import Known, parents
from labs.pods.mesh_standin.status_writer import route_status
from labs.wire import linkerd
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.test_outbound_policy import http_route, rule

HEADLESS = {"metadata": objects.meta("headless"), "spec": {"clusterIP": "None"}}
KNOWN = Known.of([objects.server()], [objects.service("server"), objects.service("v2"), HEADLESS])


def on_server(name: str) -> dict[str, Any]:
    parent = {"group": "policy.linkerd.io", "kind": "Server", "name": name}
    return {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "metadata": objects.meta("get"),
        "spec": {"parentRefs": [parent], "rules": []},
    }


def conditions(route: dict[str, Any]) -> dict[str, tuple[str, str]]:
    (entry,) = parents(route, KNOWN)
    assert entry["controllerName"] == linkerd.POLICY_CONTROLLER
    return {item["type"]: (item["status"], item["reason"]) for item in entry["conditions"]}


def test_a_route_of_a_service_with_all_its_backends() -> None:
    route = http_route(rule("/", ("server", 80), ("v2", 20)))
    assert conditions(route) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    (entry,) = parents(route, KNOWN)
    assert entry["parentRef"] == {"group": "core", "kind": "Service", "name": "server", "namespace": "demo", "port": 80}


def test_a_missing_backend_is_told_and_the_route_accepted() -> None:
    found = conditions(http_route(rule("/", ("nosuch", 1))))
    assert found == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", "BackendNotFound")}


def test_a_missing_parent_is_told() -> None:
    route = http_route(rule("/", ("v2", 1)))
    route["spec"]["parentRefs"][0]["name"] = "nosuch"
    assert conditions(route)["Accepted"] == ("False", "NoMatchingParent")


def test_a_route_of_a_server() -> None:
    assert conditions(on_server("server-http")) == {"Accepted": ("True", "Accepted")}
    assert conditions(on_server("nosuch")) == {"Accepted": ("False", "NoMatchingParent")}


def test_a_gateways_route_is_not_ours() -> None:
    route = http_route(rule("/", ("v2", 1)))
    route["spec"]["parentRefs"] = [{"name": "edge"}]
    assert parents(route, KNOWN) == []


def test_a_status_is_written_once_and_others_entries_stay() -> None:
    route = http_route(rule("/", ("v2", 1)))
    other = {"controllerName": "example.org/gateway", "conditions": [], "parentRef": {"name": "edge"}}
    route["status"] = {"parents": [other]}
    wanted = parents(route, KNOWN)
    status = route_status(route, wanted)
    assert status is not None and status["parents"][0] == other
    assert all(item["lastTransitionTime"] for item in status["parents"][1]["conditions"])
    route["status"] = status
    assert route_status(route, wanted) is None


def test_a_headless_service_is_no_parent() -> None:
    route = http_route(rule("/", ("v2", 1)))
    route["spec"]["parentRefs"][0]["name"] = "headless"
    (entry,) = parents(route, KNOWN)
    accepted = entry["conditions"][0]
    assert (accepted["status"], accepted["message"]) == ("False", "parent service must have a ClusterIP")


@pytest.mark.parametrize("ref", [{"kind": "Thing"}, {"group": "example.com"}])
def test_a_backend_of_another_kind(ref: dict[str, str]) -> None:
    found = conditions(http_route({"backendRefs": [{"name": "v2", "port": 80, **ref}]}))
    assert found["ResolvedRefs"] == ("False", "InvalidKind")


def test_an_unsupported_filter_is_not_told() -> None:
    route = http_route(rule("/", ("v2", 1), filters=[{"type": "URLRewrite", "urlRewrite": {}}]))
    assert conditions(route) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
