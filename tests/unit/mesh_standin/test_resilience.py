"""A client and three servers, each with a real Envoy: retries, timeouts, circuit breaking, fail-fast, splits, balancing.

What is expected is what recordings/linkerd recorded (files 30 to 34, experiments 2 and 4).
"""

from __future__ import annotations

import http.client
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labs.pods.mesh_standin.proxy_config import EVERY_PATH, OutboundRoute, Retry, ServicePort
from labs.wire.addresses import shadow, to_api
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import APP_PORT, MeshedPod, eventually

pytestmark = [
    pytest.mark.skipif(shutil.which("envoy") is None, reason="no envoy on the PATH"),
    pytest.mark.timeout(120),
]

URL = "http://server.demo.svc.cluster.local:8000"
LOGICAL = "logical service 10.97.0.1:8000: route default.http"
BACKEND = "backend Service.demo.server:8000: Service.demo.server:8000"
RETRY: Retry = {"statuses": list(range(500, 600)), "grpc": [], "limit": 2, "timeout": None}


class Mesh:
    """One client and three servers of Service ``server``."""

    def __init__(self, control_plane: ControlPlane, client: MeshedPod, servers: list[MeshedPod]) -> None:
        self.control_plane, self.client, self.servers = control_plane, client, servers
        self.generation = 0

    def service(self, servers: list[MeshedPod], **more: Any) -> ServicePort:
        found: dict[str, Any] = {
            "namespace": "demo",
            "name": "server",
            "port": APP_PORT,
            "cluster_ip": "10.97.0.1",
            "remote_authority": None,
            "endpoints": [server.endpoint() for server in servers],
        }
        return {**found, **more}  # type: ignore[typeddict-item]

    def serve(self, servers: list[MeshedPod] | None = None, **more: Any) -> None:
        """Make the Service so, and wait until the client's proxy has taken it over."""
        self.generation += 1
        marker = f"marker-{self.generation}"
        service = self.service(self.servers if servers is None else servers, **more)
        beacon = self.service(self.servers[:1]) | {"name": marker, "cluster_ip": f"10.97.1.{self.generation}"}
        self.control_plane.set("client", {"services": [service, beacon]})
        assert eventually(lambda: self.client.call(f"http://{marker}.demo:8000/").status == 200 and self.is_meshed(marker))
        time.sleep(0.2)  # the cluster may be one answer later than the routes
        for server in self.servers:
            server.app.seen.clear()

    def favourite(self) -> MeshedPod:
        """The server that the balancer asks most; for a minute it hardly asks one that was slow in an earlier test."""
        for _ in range(30):
            self.client.call(URL)
        return max(self.servers, key=lambda server: len(server.app.seen))

    def is_meshed(self, name: str) -> bool:
        return self.client.identity in self.client.call(f"http://{name}.demo:8000/").text

    def attempts(self, path: str) -> int:
        return sum(server.app.seen.count(path) for server in self.servers)

    def share(self, calls: int, path: str = "/") -> Counter[str]:
        return Counter(self.client.call(URL + path).json()["server"] for _ in range(calls))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    control_plane, folder = ControlPlane("127.97.0.1"), tmp_path_factory.mktemp("pods")
    names = ("client", "server-a", "server-b", "server-c")
    pods = [MeshedPod(control_plane, folder / name, f"127.97.1.{i + 1}", name) for i, name in enumerate(names)]
    try:
        assert eventually(lambda: all(pod.is_ready() for pod in pods), 40), pods[0].log()
        yield Mesh(control_plane, pods[0], pods[1:])
    finally:
        for pod in pods:
            pod.close()


@pytest.fixture
def mesh(running: Mesh) -> Iterator[Mesh]:
    yield running
    for server in running.servers:
        server.app.broken, server.app.delay = None, 0.0


def test_without_retries_a_failure_reaches_the_client(mesh: Mesh) -> None:
    mesh.serve()
    assert mesh.client.call(f"{URL}/status/503").status == 503
    assert mesh.attempts("/status/503") == 1


def test_a_failure_is_retried_up_to_the_limit_and_then_passed_on(mesh: Mesh) -> None:
    mesh.serve(policy={"retry": RETRY})
    before = mesh.client.metrics("outbound_http_route_retry_requests_total")
    answer = mesh.client.call(f"{URL}/status/503")
    assert (answer.status, mesh.attempts("/status/503")) == (503, 3)
    assert not [name for name in answer.headers if name.startswith(("l5d", "x-envoy"))]
    assert eventually(lambda: mesh.client.metrics("outbound_http_route_retry_requests_total") == before + 2)
    assert mesh.client.metrics("outbound_http_route_retry_limit_exceeded_total", parent_name="server") == 1


def test_a_status_that_is_not_asked_for_is_not_retried(mesh: Mesh) -> None:
    mesh.serve(policy={"retry": RETRY})
    assert mesh.client.call(f"{URL}/status/429").status == 429
    assert mesh.attempts("/status/429") == 1


@pytest.mark.parametrize(("size", "attempts"), [(5, 3), (70_000, 1)])
def test_a_body_is_retried_if_it_is_small(mesh: Mesh, size: int, attempts: int) -> None:
    mesh.serve(policy={"retry": RETRY})
    assert mesh.client.call(f"{URL}/status/500", method="POST", body=b"x" * size).status == 500
    assert mesh.attempts("/status/500") == attempts


def test_retries_hide_one_sick_server_of_three(mesh: Mesh) -> None:
    mesh.serve(policy={"retry": {**RETRY, "limit": 20}})
    mesh.servers[0].app.broken = 500
    assert [mesh.client.call(URL).status for _ in range(20)] == [200] * 20


def test_a_retrys_timeout_does_not_limit_the_last_attempt(mesh: Mesh) -> None:
    mesh.serve(policy={"retry": {**RETRY, "timeout": 0.3}})
    for server in mesh.servers:
        server.app.delay = 1.0
    assert mesh.client.call(f"{URL}/slow").status == 200
    assert mesh.attempts("/slow") == 3


@pytest.mark.parametrize(("name", "text"), [("request", "request timeout"), ("response", "response stream timeout")])
def test_a_timeout_is_504_and_says_which(mesh: Mesh, name: str, text: str) -> None:
    mesh.serve(policy={f"{name}_timeout": 0.3})
    for server in mesh.servers:
        server.app.delay = 1.0
    answer = mesh.client.call(f"{URL}/late")
    assert (answer.status, answer.text, answer.headers["content-length"]) == (504, "", "0")
    error = f"{LOGICAL}: {BACKEND}: timed out waiting for response headers: {text}: 300ms"
    assert answer.headers["l5d-proxy-error"] == error
    label = text.upper().replace(" ", "_")
    assert eventually(lambda: mesh.client.metrics("outbound_http_route_request_statuses_total", http_status="", error=label) > 0)
    assert f"HTTP/1.1 request failed error={error}" in mesh.client.log()


def test_a_request_timeout_cuts_a_healthy_body(mesh: Mesh) -> None:
    mesh.serve(policy={"request_timeout": 0.3})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        mesh.client.call(f"{URL}/slow-body")
    cut = {"http_status": "200", "error": "REQUEST_TIMEOUT"}
    assert eventually(lambda: mesh.client.metrics("outbound_http_route_request_statuses_total", **cut) > 0)


def test_an_idle_timeout_cuts_a_body_that_stalls(mesh: Mesh) -> None:
    mesh.serve(policy={"idle_timeout": 0.2})
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        mesh.client.call(f"{URL}/slow-body")
    cut = {"http_status": "200", "error": "IDLE_TIMEOUT"}
    assert eventually(lambda: mesh.client.metrics("outbound_http_route_request_statuses_total", **cut) > 0)


def test_failure_accrual_takes_out_one_server_and_brings_it_back(mesh: Mesh) -> None:
    mesh.serve(accrual={"max_failures": 3, "min_penalty": 1.0, "max_penalty": 2.0, "jitter": 0.0})
    sick = mesh.favourite()
    sick.app.broken = 500
    endpoint = f"endpoint{{addr={to_api(sick.host)}:{APP_PORT}}}"
    breaker = f"{endpoint}: Consecutive failure-accrual breaker"
    seen: list[int] = []

    def is_closed() -> bool:
        seen.append(mesh.client.call(URL).status)
        return f"{breaker} closed" in mesh.client.log()

    assert eventually(is_closed)
    assert 3 <= seen.count(500) <= 5, Counter(seen)  # three in a row, and what was sent before the log said so
    after = Counter(mesh.client.call(URL).status for _ in range(60))
    assert after[200] >= 52, after  # no more than a probe a second
    pending = {"endpoint_state": "pending", "parent_name": "server"}
    assert eventually(lambda: mesh.client.metrics("outbound_http_balancer_endpoints", **pending) == 1)
    sick.app.broken = None
    assert eventually(lambda: mesh.client.call(URL).status == 200 and f"{breaker} reopened" in mesh.client.log())
    assert eventually(lambda: mesh.client.metrics("outbound_http_balancer_endpoints", **pending) == 0)


def test_without_endpoints_504_after_three_seconds_then_503_at_once(mesh: Mesh) -> None:
    mesh.serve([])
    started = time.monotonic()
    first = mesh.client.call(URL)
    assert time.monotonic() - started > 2.9
    assert (first.status, first.headers["l5d-proxy-error"]) == (504, f"{LOGICAL}: {BACKEND}: service in fail-fast")
    assert first.headers["l5d-proxy-connection"] == first.headers["connection"] == "close"
    started = time.monotonic()
    second = mesh.client.call(URL)
    assert time.monotonic() - started < 2.9
    assert (second.status, second.headers["l5d-proxy-error"]) == (503, f"{LOGICAL}: service unavailable")
    wanted = {"http_status": "", "parent_name": "server"}
    name = "outbound_http_route_request_statuses_total"
    assert eventually(lambda: mesh.client.metrics(name, error="LOAD_SHED", **wanted) > 0)
    assert mesh.client.metrics(name, error="FAIL_FAST", **wanted) > 0
    assert "Unavailable; entering failfast timeout=3.0" in mesh.client.log()
    mesh.serve()
    assert mesh.client.call(URL).status == 200


def test_an_endpoint_that_takes_no_connections_is_passed_over(mesh: Mesh) -> None:
    endpoints = [server.endpoint() for server in mesh.servers]
    endpoints[0]["port"] = 9  # nobody listens
    mesh.serve(endpoints=endpoints)
    assert [mesh.client.call(URL).status for _ in range(20)] == [200] * 20


def route(path: str, *backends: tuple[str, int], error: str = "") -> OutboundRoute:
    why: dict[str, Any] = {"error": error} if error else {}
    return {
        "ref": {"group": "gateway.networking.k8s.io", "namespace": "demo", "name": "split"},
        "clients": None,
        "matches": [{**EVERY_PATH, "path": path}],
        "backends": [
            {"namespace": "demo", "name": name, "port": APP_PORT, "weight": weight, **why}  # type: ignore[typeddict-item]
            for name, weight in backends
        ],
        "policy": {},
    }


def test_an_http_route_splits_fails_and_refuses(mesh: Mesh) -> None:
    marker = f"marker-{mesh.generation + 1}"
    split = route("/hello", ("server", 80), (marker, 20))
    mesh.serve(
        mesh.servers[1:], routes=[split, route("/missing", ("does-not-exist", 1), error="Service not found does-not-exist")]
    )
    share = mesh.share(100, "/hello")
    assert 5 <= share[shadow(mesh.servers[0].host)] <= 40, share
    missing, other = mesh.client.call(f"{URL}/missing"), mesh.client.call(f"{URL}/other")
    assert (missing.status, missing.headers["l5d-proxy-error"]) == (500, "Service not found does-not-exist")
    assert (other.status, other.headers["l5d-proxy-error"]) == (404, "logical service 10.97.0.1:8000: no route")
    labels = {"route_name": "split", "route_kind": "HTTPRoute", "route_namespace": "demo", "parent_name": "server"}
    name = "outbound_http_route_backend_requests_total"
    assert eventually(lambda: mesh.client.metrics(name, backend_name="server", **labels) > 0)
    assert eventually(lambda: mesh.client.metrics(name, backend_kind="default", backend_name="fail", **labels) == 1)


def load(mesh: Mesh, seconds: float, rps: int = 20) -> Counter[str]:
    """Open-loop load over one connection per request; who answered."""

    def one(at: float) -> str:
        time.sleep(max(0.0, at - time.monotonic()))
        return str(mesh.client.call(URL).json()["server"])

    start = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        return Counter(pool.map(one, [start + i / rps for i in range(int(seconds * rps))]))


def test_a_slow_server_loses_its_traffic_and_a_fast_failure_attracts_it(mesh: Mesh) -> None:
    mesh.serve()
    for server in mesh.servers:
        server.app.delay = 0.1
    slow = shadow(mesh.servers[0].host)
    mesh.servers[0].app.delay = 1.0
    load(mesh, 1)
    assert load(mesh, 3)[slow] <= 12  # of 60; a third of them without a balancer that sees latency
    mesh.servers[1].app.delay, mesh.servers[1].app.broken = 0.0, 500
    assert load(mesh, 3)[shadow(mesh.servers[1].host)] >= 26


def test_with_every_server_out_requests_wait_then_fail_fast(mesh: Mesh) -> None:
    mesh.serve(accrual={"max_failures": 2, "min_penalty": 10.0, "max_penalty": 10.0, "jitter": 0.0})
    for server in mesh.servers:
        server.app.broken = 500
    assert eventually(lambda: mesh.client.call(URL).status != 500, 12)
    assert mesh.client.call(URL).status == 503


def answers(mesh: Mesh, status: int, calls: int) -> list[int]:
    """What the client gets while the only server answers ``status``."""
    mesh.servers[0].app.broken = status
    return [mesh.client.call(URL).status for _ in range(calls)]


def test_what_a_breaker_found_goes_with_its_configuration(mesh: Mesh) -> None:
    only = mesh.servers[:1]
    mesh.serve(only, accrual={"max_failures": 1, "min_penalty": 60.0, "max_penalty": 60.0, "jitter": 0.0})
    assert answers(mesh, 503, 2)[1] in (503, 504)
    assert mesh.attempts("/") == 1  # the second call did not reach it
    mesh.servers[0].app.broken = None
    mesh.serve(only)
    answers(mesh, 503, 1)
    assert mesh.attempts("/") == 1
    mesh.servers[0].app.broken = None
    assert [mesh.client.call(URL).status for _ in range(3)] == [200] * 3


def test_an_allowance_of_no_failures_means_no_breaker(mesh: Mesh) -> None:
    mesh.serve(mesh.servers[:1], accrual={"max_failures": 0, "min_penalty": 1.0, "max_penalty": 1.0, "jitter": 0.0})
    assert answers(mesh, 503, 10) == [503] * 10
    assert mesh.attempts("/") == 10


def unified(max_failures: int = 7, threshold: float = 0.8, min_requests: int = 5) -> Any:
    rate = {"threshold": threshold, "window": 10.0, "min_requests": min_requests}
    return {"max_failures": max_failures, "min_penalty": 60.0, "max_penalty": 60.0, "jitter": 0.0, "success_rate": rate}


@pytest.mark.parametrize(
    ("status", "accrual", "reached", "reason"),
    [
        (503, unified(min_requests=50), 7, "ConsecutiveFailures"),
        (503, unified(), 5, "LowSuccessRate"),
        (429, unified(), 5, "LowSuccessRate"),
        (429, unified(threshold=0.0), 12, ""),
    ],
)
def test_a_unified_breaker(mesh: Mesh, status: int, accrual: Any, reached: int, reason: str) -> None:
    mesh.serve([])  # forgets what an earlier breaker found
    mesh.client.call(URL)
    mesh.serve(mesh.servers[:1], accrual=accrual)
    seen = len(mesh.client.log())
    answers(mesh, status, 8 if reason else 12)
    assert mesh.attempts("/") == reached
    if reason:
        assert eventually(lambda: f"Unified circuit breaker tripped trip_reason={reason}" in mesh.client.log()[seen:])


def test_a_service_of_mixed_answers_trips_on_its_rate(mesh: Mesh) -> None:
    mesh.serve([])
    mesh.client.call(URL)
    mesh.serve(mesh.servers[:1], accrual=unified(max_failures=0, threshold=0.6))
    paths = ["/status/200", "/status/500"] * 6
    assert Counter(mesh.client.call(URL + path).status for path in paths[:5]) == {200: 3, 500: 2}
    assert mesh.client.call(f"{URL}/status/500").status == 500  # three of six
    assert mesh.client.call(URL).status in (503, 504)
