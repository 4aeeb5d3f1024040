"""The stand-in installs the resources that its document does not call absent; their schemas refuse what Linkerd's do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from labs import config
from labs.pods.mesh_standin.destination import WATCHED
from labs.wire import linkerd

DOCUMENT = config.ROOT / "docs" / "mesh-standin.md"
LINKERDS = {
    "AuthorizationPolicy",
    "EgressNetwork",
    "HTTPLocalRateLimitPolicy",
    "HTTPRoute",
    "MeshTLSAuthentication",
    "NetworkAuthentication",
    "Server",
    "ServerAuthorization",
    "ServiceProfile",
    "ExternalWorkload",
}
"""What ``linkerd install --crds`` of edge-26.8.3 makes (linkerd2, charts/linkerd-crds/templates), without Gateway API's."""


def definitions() -> dict[str, Any]:
    path = config.CLUSTERS / "embedded" / "linkerd-standin" / "crds.yaml"
    return {item["spec"]["names"]["kind"]: item for item in yaml.safe_load(path.read_text())["items"]}


def absent() -> set[str]:
    """The kinds of Linkerd's that the document's rows call absent."""
    rows = re.findall(r"^\| ([^|]+) \| absent", DOCUMENT.read_text(), re.MULTILINE)
    return {kind for row in rows for kind in re.split(r",\s*", row.strip())}


def test_what_is_installed_and_what_is_absent_is_all_of_linkerds() -> None:
    installed = set(definitions())
    assert installed <= LINKERDS
    assert LINKERDS - installed == absent() & LINKERDS


def test_gateway_apis_routes_are_as_the_document_says() -> None:
    names = {path.name for path in (config.CLUSTERS / "gateway-api").glob("*routes.yaml")}
    assert "TCPRoute" in absent() and not any("tcproutes" in name for name in names)
    assert {"gateway.networking.k8s.io_httproutes.yaml", "gateway.networking.k8s.io_tlsroutes.yaml"} <= names


def test_every_resource_that_is_installed_is_watched() -> None:
    for kind, item in definitions().items():
        plural, version = item["spec"]["names"]["plural"], item["spec"]["versions"][0]["name"]
        assert f"{linkerd.POLICY}/{version}/{plural}" in WATCHED.values(), kind


@pytest.mark.parametrize("resource", ["httproutes", "egressnetworks", "httplocalratelimitpolicies"])
def test_a_resource_with_a_status_may_have_it_written(resource: str) -> None:
    components = yaml.safe_load((config.CLUSTERS / "embedded" / "linkerd-standin" / "components.yaml").read_text())
    (destination,) = [item for item in components if item["name"] == "destination"]
    rules = [rule for rule in destination["rules"] if f"{resource}/status" in rule["resources"]]
    assert any(linkerd.POLICY in rule["apiGroups"] and "patch" in rule["verbs"] for rule in rules)
    (item,) = [item for item in definitions().values() if item["spec"]["names"]["plural"] == resource]
    assert item["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_linkerds_own_routes_have_two_filters_and_no_others() -> None:
    (version,) = definitions()["HTTPRoute"]["spec"]["versions"]
    rules = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["rules"]["items"]["properties"]
    filters = rules["filters"]["items"]["properties"]
    assert filters["type"]["enum"] == ["RequestHeaderModifier", "RequestRedirect"]
