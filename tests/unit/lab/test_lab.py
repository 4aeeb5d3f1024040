"""The object a notebook holds: names that are off are refused, questions go to the right cluster, cells get their environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labs.clusters.base import Cluster
from labs.clusters.embedded import Embedded
from labs.errors import NotFound, UsageError
from labs.journal import Journal
from labs.lab import Lab


class FakeBackend:
    """Two clusters that are names only; remembers for which Services it was asked."""

    name = "fake"
    can = Embedded.can

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def clusters(self) -> dict[str, Cluster]:
        return {name: Cluster(name) for name in ("app", "gpu")}

    def api_server(self, cluster: str) -> str:
        return f"https://{cluster}.test:6443"

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        self.asked.append((cluster, namespace, service, port))
        return f"http://{cluster}.test"


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def lab(backend: Any, tmp_path: Path) -> Lab:
    return Lab(backend, Journal(tmp_path / "faults.json"))


@pytest.mark.parametrize("service", ["chat", "shop/", "/chat", ""])
def test_a_service_without_namespace_is_refused_and_shown_how(lab: Lab, backend: FakeBackend, service: str) -> None:
    with pytest.raises(UsageError, match=r"expected NAMESPACE/SERVICE; found .*\n.*shop/chat"):
        lab.url(service, cluster="app")
    assert backend.asked == []


def test_a_cluster_that_does_not_exist_lists_those_that_do(lab: Lab) -> None:
    with pytest.raises(NotFound, match="no cluster named 'prod'; there are: app, gpu"):
        lab.url("shop/chat", cluster="prod")
    assert lab.app.name == "app" and lab.gpu.name == "gpu"


def test_a_url_is_the_backends_to_say(lab: Lab, backend: FakeBackend) -> None:
    assert lab.url("ml/model-server", cluster="gpu", port="metrics") == "http://gpu.test"
    assert backend.asked == [("gpu", "ml", "model-server", "metrics")]


def test_a_query_goes_to_the_prometheus_of_its_cluster_and_finds_it_once(
    lab: Lab, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = pd.DataFrame({"up": [1.0]})

    def query(server: Any, promql: str, **span: Any) -> pd.DataFrame:
        assert (server.url, server.cluster, promql, span) == ("http://gpu.test", "gpu", "up", {"last": "10s", "step": 1})
        return answer

    monkeypatch.setattr("labs.telemetry.prometheus.Prometheus.query", query)
    for _ in range(2):
        assert lab.query("up", cluster="gpu", last="10s", step=1) is answer
    assert backend.asked == [("gpu", "monitoring", "prometheus", None)]


def test_several_queries_make_a_line_each(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    index = pd.date_range("2026-11-24", periods=2, freq="1s", tz="UTC")
    frames = {"a": pd.DataFrame({"x": [1.0, 2.0]}, index), "b": pd.DataFrame({"p": [3.0, 4.0], "q": [5.0, 6.0]}, index)}
    monkeypatch.setattr("labs.telemetry.prometheus.Prometheus.query", lambda server, promql, **span: frames[promql])
    chart = lab.chart({"one": "a", "two": "b"}, title="T", cluster="gpu")
    assert list(chart.table.index) == ["one", "two p", "two q"]
