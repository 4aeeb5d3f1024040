"""A gateway is dead after three failed probes in a row, and alive again after one that succeeds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from labs.pods.mesh_standin.gateway_probe import GatewayProbe, ProbeMetrics, ProbeSpec, seconds
from labs.wire.kube_api import Object

LINK: Object = {
    "spec": {
        "targetClusterName": "gpu",
        "gatewayAddress": "10.21.0.9",
        "gatewayPort": "4143",
        "probeSpec": {"path": "/ready", "port": "4191", "period": "3s", "timeout": "30s", "failureThreshold": "3"},
    }
}


def test_dead_after_three_failures_alive_after_one_success() -> None:
    registry = CollectorRegistry()
    changes: list[bool] = []
    probe = GatewayProbe("gpu", ProbeSpec.of(LINK), ProbeMetrics(registry), lambda: changes.append(probe.alive))
    probe.record(3.0, None)
    for _ in range(2):
        probe.record(0.0, "gateway returned unexpected status 503")
    assert probe.alive and changes == []
    probe.record(0.0, "gateway returned unexpected status 503")
    assert not probe.alive and changes == [False]
    assert registry.get_sample_value("gateway_alive", {"target_cluster_name": "gpu"}) == 0
    probe.record(2.0, None)
    assert probe.alive and changes == [False, True]
    assert registry.get_sample_value("gateway_latency", {"target_cluster_name": "gpu"}) == 2.0


def test_the_spec_comes_from_the_link() -> None:
    spec = ProbeSpec.of(LINK)
    assert (spec.urls, spec.period, spec.timeout, spec.threshold) == (("http://10.21.0.9:4191/ready",), 3.0, 30.0, 3)


def test_durations() -> None:
    assert [seconds(text) for text in ("3s", "250ms", "2m", "5")] == [3.0, 0.25, 120.0, 5.0]
