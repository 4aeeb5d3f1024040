"""Prometheus, queries and load against a running lab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs import kube
from labs.course.notebook_lab import open_lab
from labs.errors import CommandFailed, QueryError, TimedOut
from labs.lab import Lab
from labs.paths import Paths

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(lab_up: None) -> Iterator[Lab]:
    lab = open_lab()
    for name, cluster in lab.clusters.items():
        cluster.apply(Paths.current().state / "manifests" / f"prometheus-{name}")
        kube.wait(cluster.api, "Deployment", "prometheus", "monitoring", kube.rolled_out, timeout=120)
    lab.gpu.apply("clusters/manifests/gpu-simulator")
    kube.wait(lab.gpu.api, "DaemonSet", "gpu-simulator", "gpu-system", kube.rolled_out, timeout=60)
    yield lab


def test_every_gpu_is_scraped_each_second(lab: Lab) -> None:
    lab.wait_until("count(DCGM_FI_DEV_GPU_UTIL) == 8", cluster="gpu", timeout=60)
    lab.wait_until('min(count_over_time(up{job="gpu-simulator"}[10s])) >= 8', cluster="gpu", timeout=60)


def test_refused_promql_is_told_in_prometheus_own_words(lab: Lab) -> None:
    with pytest.raises(QueryError, match="unclosed left parenthesis"):
        lab.query("sum(up")


def test_server_side_apply_twice_and_delete(lab: Lab, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}
    kube.apply(lab.app.api, [body], namespace)
    (found,) = kube.apply(lab.app.api, [body | {"data": {"b": "2"}}], namespace)
    assert found["data"] == {"b": "2"}, "server-side apply removes what is no longer said"
    assert kube.delete(lab.app.api, "ConfigMap", "x", namespace) and not kube.delete(lab.app.api, "ConfigMap", "x", namespace)
    assert kube.get(lab.app.api, "ConfigMap", "x", namespace) is None


def test_the_api_servers_words_reach_the_caller(lab: Lab, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}}
    with pytest.raises(CommandFailed, match="RFC 1123"):
        kube.apply(lab.app.api, [body], namespace)


def test_a_wait_in_vain_names_the_object(lab: Lab, namespace: str) -> None:
    with pytest.raises(TimedOut, match=f"deployment {namespace}/nobody after 0 s: it does not exist"):
        kube.wait(lab.app.api, "Deployment", "nobody", namespace, kube.rolled_out, timeout=0)
