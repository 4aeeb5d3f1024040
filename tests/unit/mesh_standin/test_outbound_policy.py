"""What annotations and HTTPRoutes of a Service become."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from labs.pods.mesh_standin.durations import parse_duration
from labs.pods.mesh_standin.endpoints import service_ports
from labs.pods.mesh_standin.envoy_outbound_routes import routes
from labs.pods.mesh_standin.outbound_policy import DEFAULT_ACCRUAL
from labs.pods.mesh_standin.proxy_config import ServicePort, service_key
from tests.unit.mesh_standin import objects

RETRY = {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "2", "retry.linkerd.io/timeout": "400ms"}


def annotated(**annotations: str) -> ServicePort:
    (port,) = service_ports([objects.service(annotations=annotations)], [objects.endpoint_slice("10.10.1.5")], [])
    return port


def http_route(*rules: dict[str, Any], name: str = "split", namespace: str = "demo", port: int | None = 80) -> dict[str, Any]:
    parent = {"group": "", "kind": "Service", "name": "server", "namespace": "demo"} | ({"port": port} if port else {})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": objects.meta(name, namespace),
        "spec": {"parentRefs": [parent], "rules": list(rules)},
    }


def rule(path: str, *backends: tuple[str, int], **more: Any) -> dict[str, Any]:
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
    return {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": refs, **more}


def with_routes(*found: dict[str, Any]) -> dict[str, ServicePort]:
    services = [objects.service("server"), objects.service("v2")]
    return {service_key(port): port for port in service_ports(services, [], [], list(found))}


def envoy_routes(*found: dict[str, Any], namespace: str = "demo") -> list[dict[str, Any]]:
    ports = with_routes(*found)
    return routes(ports["out|demo|server|80"], ports, namespace)


def test_no_annotations_no_policy() -> None:
    port = annotated()
    assert "policy" not in port and "accrual" not in port and "routes" not in port


def test_retries_as_annotated() -> None:
    retry = annotated(**RETRY)["policy"]["retry"]
    assert retry == {"statuses": list(range(500, 600)), "grpc": [], "limit": 2, "timeout": 0.4}


@pytest.mark.parametrize(
    ("text", "statuses"), [("503", [503]), ("gateway-error", [502, 503, 504]), ("429, 500-502", [429, 500, 501, 502])]
)
def test_statuses(text: str, statuses: list[int]) -> None:
    assert annotated(**{"retry.linkerd.io/http": text})["policy"]["retry"]["statuses"] == statuses


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("retry.linkerd.io/http", "most"),
        ("retry.linkerd.io/http", "700"),
        ("retry.linkerd.io/grpc", "sometimes"),
        ("timeout.linkerd.io/request", "abc"),
        ("timeout.linkerd.io/idle", "5"),
    ],
)
def test_what_cannot_be_read_is_ignored_with_a_warning(annotation: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "policy" not in annotated(**{annotation: value})
    assert "Failed to parse" in caplog.text and "namespace='demo'" in caplog.text


def test_the_warning_is_worded_as_linkerds() -> None:
    with pytest.raises(ValueError, match="abc does not contain a timeout duration value"):
        parse_duration("abc")


def test_failure_accrual_as_annotated_and_by_default() -> None:
    prefix = "balancer.linkerd.io/failure-accrual"
    assert annotated(**{prefix: "consecutive"})["accrual"] == DEFAULT_ACCRUAL
    more = {prefix: "consecutive", f"{prefix}-consecutive-max-failures": "3", f"{prefix}-consecutive-min-penalty": "5s"}
    assert annotated(**more)["accrual"] == DEFAULT_ACCRUAL | {"max_failures": 3, "min_penalty": 5.0}
    assert "accrual" not in annotated(**{prefix: "success-rate"})


def test_a_split_has_both_backends_with_their_weights() -> None:
    first, *_ = envoy_routes(http_route(rule("/hello", ("server", 80), ("v2", 20))))
    clusters = first["route"]["weighted_clusters"]["clusters"]
    assert [(item["name"], item["weight"]) for item in clusters] == [("out|demo|server|80", 80), ("out|demo|v2|80", 20)]
    assert first["name"] == "out|demo|server|80|gateway.networking.k8s.io/demo/split"


def test_a_missing_backend_answers_for_its_share() -> None:
    first, *_ = envoy_routes(http_route(rule("/", ("does-not-exist", 1))))
    (cluster,) = first["route"]["weighted_clusters"]["clusters"]
    assert cluster["typed_per_filter_config"]["lua"]["filter_context"] == {
        "fail": "Service not found does-not-exist",
        "status": "500",
    }


def test_no_share_at_all_is_an_error() -> None:
    first, *_ = envoy_routes(http_route(rule("/", ("v2", 0))))
    assert first["direct_response"]["status"] == 500


def test_what_no_rule_matches_is_404() -> None:
    last = envoy_routes(http_route(rule("/hello", ("v2", 1))))[-1]
    context = last["typed_per_filter_config"]["lua"]["filter_context"]
    assert context == {"fail": "logical service 10.11.0.9:80: no route", "status": "404"}


def test_longer_prefixes_are_tried_first() -> None:
    found = envoy_routes(http_route(rule("/a", ("v2", 1)), rule("/a/b", ("v2", 1))))
    assert [route["match"].get("path_separated_prefix") for route in found[:2]] == ["/a/b", "/a"]


def test_a_route_for_another_port_or_kind_is_not_attached() -> None:
    other = http_route(rule("/", ("v2", 1)))
    other["spec"]["parentRefs"][0]["port"] = 81
    gateway = http_route(rule("/", ("v2", 1)))
    gateway["spec"]["parentRefs"][0]["kind"] = "Gateway"
    (only,) = envoy_routes(other, gateway)
    assert only["name"] == "out|demo|server|80"


def test_a_consumers_route_is_for_its_namespace_only() -> None:
    consumers = http_route(rule("/", ("v2", 1)), namespace="shop")
    assert len(envoy_routes(consumers, namespace="demo")) == 1
    assert "shop/split" in envoy_routes(consumers, namespace="shop")[0]["name"]


def test_a_rules_timeout_and_retries_of_the_route() -> None:
    route = http_route(rule("/", ("v2", 1), timeouts={"request": "2s"}))
    route["metadata"]["annotations"] = RETRY
    action = envoy_routes(route)[0]["route"]
    assert action["timeout"] == "2s"
    assert action["retry_policy"]["num_retries"] == 2 and action["retry_policy"]["per_try_timeout"] == "0.4s"
    assert action["hedge_policy"] == {"hedge_on_per_try_timeout": True}
