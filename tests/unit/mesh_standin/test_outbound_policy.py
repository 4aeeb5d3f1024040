"""What annotations and HTTPRoutes of a Service become."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from labs.pods.mesh_standin.accrual import DEFAULT_ACCRUAL, DEFAULT_SUCCESS_RATE
from labs.pods.mesh_standin.durations import parse_duration
from labs.pods.mesh_standin.endpoints import service_ports
from labs.pods.mesh_standin.envoy_outbound_routes import routes
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


def test_unified_failure_accrual_has_a_success_rate_too() -> None:
    prefix, rate = "balancer.linkerd.io/failure-accrual", "balancer.alpha.linkerd.io/failure-accrual-success-rate"
    assert annotated(**{prefix: "unified"})["accrual"] == {**DEFAULT_ACCRUAL, "success_rate": DEFAULT_SUCCESS_RATE}
    more = {prefix: "unified", f"{rate}-threshold": "0.5", f"{rate}-window": "30s", f"{rate}-min-requests": "20"}
    found = annotated(**more)["accrual"]["success_rate"]
    assert found == {"threshold": 0.5, "window": 30.0, "min_requests": 20}
    assert "success_rate" not in annotated(**{**more, prefix: "consecutive"})["accrual"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balancer.linkerd.io/failure-accrual-consecutive-max-failures", "-1"),
        ("balancer.linkerd.io/failure-accrual-consecutive-min-penalty", "2m"),
        ("balancer.linkerd.io/failure-accrual-consecutive-max-penalty", "0s"),
        ("balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio", "nan"),
        ("balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold", "1.1"),
        ("balancer.alpha.linkerd.io/failure-accrual-success-rate-window", "5ms"),
        ("balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests", "1000001"),
    ],
)
def test_failure_accrual_out_of_range_is_none_at_all(name: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "accrual" not in annotated(**{"balancer.linkerd.io/failure-accrual": "unified", name: value})
    assert "Failed to parse accrual" in caplog.text


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


def policy_of(service: dict[str, str], route: dict[str, str], timeouts: dict[str, str] | None = None) -> Any:
    """The policy of a rule: annotations of its Service and of its route, and the rule's own timeouts."""
    found = http_route(rule("/", ("v2", 1), timeouts=timeouts or {}))
    found["metadata"]["annotations"] = route
    services = [objects.service("server", annotations=service), objects.service("v2")]
    ports = {service_key(port): port for port in service_ports(services, [], [], [found])}
    return ports["out|demo|server|80"]["routes"][0]["policy"]


def test_a_services_retries_and_timeouts_hold_for_its_routes() -> None:
    service = {"retry.linkerd.io/http": "5xx", "timeout.linkerd.io/request": "500ms", "timeout.linkerd.io/idle": "3s"}
    found = policy_of(service, {})
    assert (found["retry"]["limit"], found["request_timeout"], found["idle_timeout"]) == (1, 0.5, 3.0)


def test_a_route_with_one_timeout_has_none_of_its_services() -> None:
    found = policy_of({"timeout.linkerd.io/request": "500ms"}, {"timeout.linkerd.io/idle": "3s"})
    assert found == {"idle_timeout": 3.0}
    assert policy_of({"timeout.linkerd.io/idle": "3s"}, {}, {"request": "2s"}) == {"request_timeout": 2.0}


def test_an_annotation_wins_over_the_rule() -> None:
    assert policy_of({}, {"timeout.linkerd.io/request": "5s"}, {"request": "500ms"}) == {"request_timeout": 5.0}
    assert policy_of({}, {}, {"request": "0s"}) == {}


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        ({"name": "v2"}, "missing port for backend Service v2"),
        ({"name": "v2", "group": "example.com", "kind": "Thing", "port": 80}, "unsupported backend type example.com Thing"),
        (
            {"name": "v2", "port": 80, "filters": [{"type": "URLRewrite", "urlRewrite": {}}]},
            "unsupported backend filter: URLRewrite filter is not supported",
        ),
    ],
)
def test_a_backend_that_is_none_answers_500(ref: dict[str, Any], error: str) -> None:
    first, *_ = envoy_routes(http_route({"backendRefs": [ref]}))
    (cluster,) = first["route"]["weighted_clusters"]["clusters"]
    assert cluster["typed_per_filter_config"]["lua"]["filter_context"] == {"fail": error, "status": "500"}


def test_a_port_that_its_service_lacks_has_no_endpoints() -> None:
    first, *_ = envoy_routes(http_route({"backendRefs": [{"name": "v2", "port": 81}]}))
    (cluster,) = first["route"]["weighted_clusters"]["clusters"]
    context = cluster["typed_per_filter_config"]["lua"]["filter_context"]
    assert (context["key"], context["endpoints"]) == ("out|demo|v2|81", "")


def test_an_unusable_route_leaves_the_default_one() -> None:
    rewrite = {"type": "URLRewrite", "urlRewrite": {"hostname": "other"}}
    (only,) = envoy_routes(http_route(rule("/", ("v2", 1), filters=[rewrite])))
    assert only["name"] == "out|demo|server|80"


def test_filters_of_rules_and_backends() -> None:
    def setting(name: str) -> dict[str, Any]:
        return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": "1"}]}}

    backend = {"name": "v2", "port": 80, "filters": [setting("x-backend")]}
    first, *_ = envoy_routes(http_route({"filters": [setting("x-rule")], "backendRefs": [backend]}))
    (cluster,) = first["route"]["weighted_clusters"]["clusters"]
    assert first["request_headers_to_remove"] == ["x-rule"] and cluster["request_headers_to_remove"] == ["x-backend"]
