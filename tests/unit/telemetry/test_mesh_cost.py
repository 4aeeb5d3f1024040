"""The cost of the mesh: the arithmetic, and what is asked of which pod."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.clusters.base import Cluster
from labs.errors import NotFound
from labs.telemetry import mesh_cost
from labs.telemetry.mesh_cost import DIRECT, FLAT, GATEWAY, MESHED, WAYS, MeshCost

MICROSECONDS = {f"http://10.10.1.9:{mesh_cost.PORT}/": 1000} | {
    f"http://{name}.cost.svc.cluster.local:8080/": 1000 + 1000 * number for number, name in enumerate(mesh_cost.URLS.values(), 1)
}


def pod(name: str, address: str, **metadata: str) -> dict[str, Any]:
    """As kubectl prints one."""
    whole = {"namespace": mesh_cost.PLAIN, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"} | metadata
    return {"metadata": whole, "status": {"phase": "Running", "podIP": address}, "spec": {"containers": [{}]}}


class FakeCluster(Cluster):
    """Answers kubectl: one pod per selector, latencies by URL, and CPU that grows by a second from one look to the next."""

    def __init__(self, name: str, failed: int = 0, pods: bool = True) -> None:
        super().__init__(name)
        self.failed, self.pods_there = failed, pods
        self.executed: list[tuple[str, ...]] = []

    def kubectl(self, *args: str, input: str | None = None, timeout: float = 60) -> str:
        if args[:2] == ("get", "pods"):
            pods = [pod("old", "10.10.1.8", deletionTimestamp="now"), *([pod("new", "10.10.1.9")] if self.pods_there else [])]
            return json.dumps({"items": pods})
        self.executed.append(args)
        row = {"microseconds": [MICROSECONDS[args[args.index("ask") + 1]]] * 50, "seconds": 0.5}
        return json.dumps(row | {"failed": {"503": self.failed} if self.failed else {}})


class FakePrometheus:
    """CPU that grows by a second from one look at all proxies to the next, and 25 MiB each."""

    def __init__(self) -> None:
        self.looks = 0
        self.asked: list[str] = []

    def wait_until(self, promql: str, *, timeout: float = 60) -> pd.Series:
        self.asked.append(promql)
        if "memory" in promql:
            return pd.Series([25.0 * 2**20])
        self.looks += 1
        return pd.Series([self.looks * 1.0])


@pytest.fixture(autouse=True)
def no_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_cost, "SCRAPED", 0.0)


def measure(found: dict[str, FakeCluster], **options: Any) -> MeshCost:
    prometheus: Any = FakePrometheus()
    return mesh_cost.measure(found, {"app": prometheus, "gpu": prometheus}, **options)


def clusters(**options: Any) -> dict[str, FakeCluster]:
    return {name: FakeCluster(name, **options) for name in ("app", "gpu")}


def test_every_way_is_asked_in_turn_and_only_the_direct_one_goes_straight() -> None:
    found = clusters()
    cost = measure(found, rounds=2)
    where = [(args[2], "--straight" in args) for args in found["app"].executed]
    assert where == [("cost-plain", True), ("cost", False), ("cost", False), ("cost", False)] * 2
    assert not found["gpu"].executed
    table = cost.table()
    assert list(table["p50 ms"]) == [1, 2, 3, 4] and list(table["requests"]) == [100] * 4
    assert list(table["p50 added"].dropna()) == [1, 2, 3]
    assert table["p50 added"].isna()[DIRECT]


def test_cpu_is_shared_out_among_the_requests_of_a_proxys_ways() -> None:
    proxies = measure(clusters(), rounds=2).proxies
    assert list(proxies["requests"]) == [300, 100, 200, 100]
    # The fake counts a second per question: four lie between the same proxy's.
    assert proxies.loc["caller's", "CPU ms per request"] == pytest.approx(4000 / 300, abs=0.01)
    assert set(proxies["memory MiB"]) == {25}


def test_failures_are_counted_and_no_latencies() -> None:
    cost = measure(clusters(failed=3), rounds=2)
    assert list(cost.table()["failed"]) == [6] * 4


def test_without_the_notebooks_pods_it_says_where_they_come_from() -> None:
    with pytest.raises(NotFound, match="app=echo in cost-plain") as error:
        measure(clusters(pods=False))
    assert "notebook 13" in error.value.fix


def test_saturation_is_answers_by_time_and_drawn_as_bars() -> None:
    rates = mesh_cost.saturate(clusters(), connections=4)
    assert list(rates.index) == list(WAYS) and set(rates) == {100}
    assert "Of 100 direct answers a second, 100 to 100 are left" in mesh_cost.rates(rates).alt


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 50), st.integers(0, 5))
def test_the_interval_holds_an_existing_difference(shift: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    direct = [draw.gamma(4, 0.5, 60) for _ in range(4)]
    value, low, high = mesh_cost.above(direct, [rounds + shift for rounds in direct], 0.5)
    assert value == pytest.approx(shift) and low - 1e-9 <= shift <= high + 1e-9


def test_rounds_that_differ_make_the_interval_wider() -> None:
    draw = np.random.default_rng(7)
    calm = [draw.normal(5, 0.1, 100) for _ in range(4)]
    stormy = [draw.normal(5 + 3 * number, 0.1, 100) for number in range(4)]
    direct = [draw.normal(1, 0.1, 100) for _ in range(4)]
    narrow, wide = (high - low for _, low, high in (mesh_cost.above(direct, other, 0.5) for other in (calm, stormy)))
    assert wide > 10 * narrow


def test_the_chart_says_its_numbers() -> None:
    rounds = {way: [np.full(10, float(number))] for number, way in enumerate(WAYS)}
    chart = MeshCost(rounds=rounds).plot(reading="The gateway costs most.")
    assert "meshed 1.00 (1.00 to 1.00)" in chart.alt and "The gateway costs most." in chart.alt
    assert "wait longer: meshed 1.0 ms, through the gateway 2.0 ms, flat 3.0 ms." in MeshCost(rounds=rounds).plot().reading
    assert chart.png.startswith(b"\x89PNG")


def test_an_interval_chart_takes_no_rows_and_negative_ones() -> None:
    from labs.telemetry.charts import intervals

    frame = pd.DataFrame([(-1.0, -2.0, -0.5)], index=["faster"], columns=["value", "low", "high"])
    assert "faster -1.00 (-2.00 to -0.50)" in intervals(frame, title="t", unit="ms").alt
    assert intervals(frame.iloc[:0], title="t", unit="ms").png.startswith(b"\x89PNG")


def test_real_linkerds_figures_are_for_ways_that_are_measured() -> None:
    assert set(mesh_cost.LINKERD) <= {MESHED, GATEWAY, FLAT}
