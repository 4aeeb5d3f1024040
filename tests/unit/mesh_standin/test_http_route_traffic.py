"""HTTPRoutes with a real Envoy on both sides: matches, filters and redirects of outbound and of inbound rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from labs.pods.mesh_standin import http_route
from labs.pods.mesh_standin.default_policy import default_authorizations
from labs.pods.mesh_standin.proxy_config import InboundPort, InboundRoute, OutboundRoute, Ref, ServicePort
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import APP_PORT, Answer, MeshedPod, eventually

pytestmark = [
    pytest.mark.skipif(shutil.which("envoy") is None, reason="no envoy on the PATH"),
    pytest.mark.timeout(120),
]
URL = f"http://server.demo.svc.cluster.local:{APP_PORT}"
Object = dict[str, Any]


class Pair:
    """A meshed client and a meshed server; each change of their routes is waited for."""

    def __init__(self, control_plane: ControlPlane, client: MeshedPod, server: MeshedPod) -> None:
        self.control_plane, self.client, self.server = control_plane, client, server
        self.generation = 0
        self.beacon = ""
        """A Service of the same server that no route is for."""

    def call(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
        return self.client.call(URL + path, headers, method)

    def outbound(self, *rules: Object, **spec: Any) -> None:
        """Give Service ``server`` a route of these rules."""
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "metadata": objects.meta("route"),
            "spec": {"rules": list(rules), **spec},
        }
        own: Any = {"namespace": "demo", "name": "server", "port": APP_PORT, "weight": 1}
        found: list[OutboundRoute] = [
            {
                "ref": {"group": http_route.GATEWAY_API, "namespace": "demo", "name": "route"},
                "clients": None,
                "matches": http_route.matches(route, rule),
                "backends": [own],
                "policy": {},
                "filters": http_route.filters(rule.get("filters", [])),
            }
            for rule in rules
        ]
        self.generation += 1
        service: ServicePort = {
            "namespace": "demo",
            "name": "server",
            "port": APP_PORT,
            "cluster_ip": "10.95.0.1",
            "remote_authority": None,
            "endpoints": [self.server.endpoint()],
        }
        beacon: Any = service | {"name": f"marker-{self.generation}", "cluster_ip": f"10.95.1.{self.generation}"}
        if found:
            service["routes"] = found
        self.beacon = f"http://marker-{self.generation}.demo:{APP_PORT}"
        self.control_plane.set("client", {"services": [service, beacon]})
        assert eventually(lambda: self.client.identity in self.client.call(self.beacon).text)

    def inbound(self, *rules: Object, admitted: bool = True, **spec: Any) -> None:
        """Put a route of these rules before the server's app; one more leads ``/generation/N`` there."""
        self.generation += 1
        path = f"/generation/{self.generation}"
        route = {"metadata": objects.meta("route"), "spec": spec}
        routes = [self._inbound_route(route, rule, admitted) for rule in rules]
        routes.append(self._inbound_route({"spec": {}}, {"matches": [{"path": {"value": path}}]}, True))
        server: Ref = {"group": "policy.linkerd.io", "kind": "server", "name": "http"}
        port: InboundPort = {"port": APP_PORT, "server": server, "opaque": False, "authorizations": [], "routes": routes}
        self.control_plane.set("server", {"inbound": [port]})
        assert eventually(lambda: self.client.call(self.beacon + path).status == 200)

    def _inbound_route(self, route: Object, rule: Object, admitted: bool) -> InboundRoute:
        ref: Ref = {"group": http_route.GATEWAY_API, "kind": "HTTPRoute", "name": "route"}
        authorizations = default_authorizations("all-unauthenticated" if admitted else "deny")
        matches, filters = http_route.matches(route, rule), http_route.inbound_filters(rule)
        return {"ref": ref, "matches": matches, "authorizations": authorizations, "filters": filters}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    control_plane, folder = ControlPlane("127.95.0.1"), tmp_path_factory.mktemp("pods")
    pods = [MeshedPod(control_plane, folder / name, f"127.95.1.{i + 1}", name) for i, name in enumerate(("client", "server"))]
    try:
        assert eventually(lambda: all(pod.is_ready() for pod in pods), 40), pods[0].log()
        pair = Pair(control_plane, *pods)
        pair.outbound()
        pair.inbound({})
        yield pair
    finally:
        for pod in pods:
            pod.close()


@pytest.fixture
def pair(running: Pair) -> Iterator[Pair]:
    yield running
    running.inbound({})
    running.outbound()


MATCHES: list[tuple[Object, str, str]] = [
    ({"queryParams": [{"name": "v", "value": "2"}]}, "/?v=2", "/?v=1"),
    ({"queryParams": [{"name": "v", "value": "2"}]}, "/?a=1&v=2", "/"),
    ({"queryParams": [{"name": "v", "value": "[12]", "type": "RegularExpression"}]}, "/?v=1", "/?v=12"),
    ({"path": {"type": "RegularExpression", "value": "/v[0-9]+/.*"}}, "/v2/a", "/x/v2/a"),
    ({"path": {"type": "Exact", "value": "/a"}}, "/a?b=c", "/a/b"),
    ({"path": {"type": "PathPrefix", "value": "/a"}}, "/a/b", "/ab"),
]


@pytest.mark.parametrize(("match", "hit", "miss"), MATCHES)
@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_matches_of_both_directions(pair: Pair, direction: str, match: Object, hit: str, miss: str) -> None:
    getattr(pair, direction)({"matches": [match]})
    assert (pair.call(hit).status, pair.call(miss).status) == (200, 404)


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_headers_are_matched_as_a_whole(pair: Pair, direction: str) -> None:
    header = {"name": "x-v", "value": "v[0-9]", "type": "RegularExpression"}
    getattr(pair, direction)({"matches": [{"headers": [header], "method": "POST"}]})
    assert pair.call("/", {"x-v": "v1"}, "POST").status == 200
    assert pair.call("/", {"x-v": "v12"}, "POST").status == 404
    assert pair.call("/", {"x-v": "v1"}).status == 404


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
@pytest.mark.parametrize(
    ("host", "status"),
    [("other.example.com", 404), ("server.demo.svc.cluster.local", 200), ("*.svc.cluster.local", 200), ("*.example.com", 404)],
)
def test_host_names_limit_a_route(pair: Pair, direction: str, host: str, status: int) -> None:
    getattr(pair, direction)({}, hostnames=[host])
    assert pair.call("/").status == status


def test_an_authorization_is_for_its_rules_requests_only(pair: Pair) -> None:
    pair.inbound({"matches": [{"queryParams": [{"name": "v", "value": "2"}]}]}, admitted=False)
    assert (pair.call("/?v=2").status, pair.call("/?v=1").status) == (403, 404)


MODIFIED = {"set": [{"name": "X-Set", "value": "100% new"}], "add": [{"name": "x-add", "value": "b"}], "remove": ["x-gone"]}
SENT = {"x-set": "old", "x-add": "a", "x-gone": "1"}


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_request_headers_are_changed(pair: Pair, direction: str) -> None:
    getattr(pair, direction)({"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": MODIFIED}]})
    seen = pair.call("/", SENT).json()["headers"]
    assert seen["x-set"] == "100% new" and "x-gone" not in seen
    assert seen["x-add"] in ("b", "a,b")  # the server's reader keeps the last of two lines of one name


def test_response_headers_are_changed_outbound_only(pair: Pair) -> None:
    rule = {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-by", "value": "1"}]}}]}
    pair.inbound(rule)
    assert "x-by" not in pair.call("/").headers
    pair.outbound(rule)
    assert pair.call("/").headers["x-by"] == "1"


REDIRECTS: list[tuple[Object, str, int, str]] = [
    ({"statusCode": 302}, "/a?b=c", 302, f"{URL}/a?b=c"),
    ({"path": {"replaceFullPath": "/new"}}, "/a?b=c", 301, f"{URL}/new"),
    ({"path": {"replacePrefixMatch": "/new"}}, "/a/b?c=d", 301, f"{URL}/new/b?c=d"),
    ({"scheme": "https", "hostname": "x.example.com", "port": 8443}, "/a", 301, "https://x.example.com:8443/a"),
]


@pytest.mark.parametrize(("redirect", "path", "status", "location"), REDIRECTS)
@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_redirects(pair: Pair, direction: str, redirect: Object, path: str, status: int, location: str) -> None:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}],
    }
    getattr(pair, direction)(rule)
    answer = pair.call(path)
    assert answer.status == status
    assert answer.headers["location"].split("?")[0] == location.split("?")[0]
    assert answer.headers["location"] == location or "replaceFullPath" in redirect.get("path", {})


def test_a_redirect_of_a_server_is_for_those_it_admits(pair: Pair) -> None:
    pair.inbound({"filters": [{"type": "RequestRedirect", "requestRedirect": {}}]}, admitted=False)
    assert pair.call("/a").status == 403
