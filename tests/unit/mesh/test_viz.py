"""``linkerd viz``: which series answer which question, and a played Prometheus' answers as Linkerd's columns."""

from __future__ import annotations

import pytest

from labs.errors import LabError
from labs.mesh.linkerd_cli import edges, resources, stat
from labs.mesh.linkerd_cli.metrics_api import Prometheus, Traffic, _one, selector
from labs.mesh.linkerd_cli.resources import Row, parse


def test_a_workload_is_counted_by_its_own_proxies() -> None:
    labels, by = stat.series(stat.Question(parse(["deploy"]), "shop"))
    assert selector(labels) == '{direction="inbound",namespace="shop"}'
    assert by == ("namespace", "deployment")


def test_a_service_is_counted_by_its_callers() -> None:
    labels, by = stat.series(stat.Question(parse(["svc"]), "ml"))
    assert selector(labels) == '{direction="outbound",dst_service!="",dst_namespace="ml"}'
    assert by == ("dst_namespace", "dst_service")


def test_from_and_to_choose_one_pair() -> None:
    source, _ = stat.series(stat.Question(parse(["deploy/server"]), "demo", source=parse(["deploy/client"])))
    assert source == {
        "direction": "outbound",
        "deployment": "client",
        "namespace": "demo",
        "dst_deployment": "",
        "dst_namespace": "demo",
    }
    to, by = stat.series(stat.Question(parse(["deploy"]), "demo", destination=parse(["deploy", "server"])))
    assert to["dst_deployment"] == "server" and by == ("namespace", "deployment")


def test_a_quote_in_a_name_cannot_leave_the_selector() -> None:
    assert selector({"namespace": 'a"} or up{x="'}) == '{namespace="a\\"} or up{x=\\""}'


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(LabError, match="deploy, ds, sts, po, ns, svc"):
        parse(["cronjob"])


def test_rates_and_success_from_increases() -> None:
    group = ("demo", "server")
    seen = _one(
        group,
        {(*group, "success"): 90.0, (*group, "failure"): 10.0},
        [{group: 4.2}, {group: 80.0}, {}],
        [{group: 3.0}, {}, {}],
        50,
    )
    assert seen == Traffic(0.9, 2.0, 4.2, 80.0, None, 3.0, None, None)


def test_a_stat_table() -> None:
    question = stat.Question(resources.parse(["deploy"]), "demo")
    answers = [(Row("demo", "client", 1, 1), Traffic(1.0, 0.3, 1, 9, 10, 1)), (Row("demo", "idle", 0, 2), stat.NOTHING)]
    assert stat.to_table(answers, question, wide=False).splitlines() == [
        "NAME     MESHED   SUCCESS      RPS   LATENCY_P50   LATENCY_P95   LATENCY_P99   TCP_CONN",
        "client      1/1   100.00%   0.3rps           1ms           9ms          10ms          1",
        "idle        0/2         -        -             -             -             -          -",
    ]


class PlayedPrometheus(Prometheus):
    """Two series: the caller's and the callee's view of one call."""

    async def grouped(self, promql: str, by: object) -> dict[tuple[str, ...], float]:
        if 'direction="inbound"' in promql:
            return {("ml", "model-server", "chat.shop.serviceaccount.identity.linkerd.cluster.local"): 5.0}
        server = "model-server.ml.serviceaccount.identity.linkerd.cluster.local"
        return {("chat", "shop", "model-server", "ml", server, "", "true"): 5.0}


async def test_edges_name_both_identities() -> None:
    (edge,) = await edges.edges(PlayedPrometheus("http://played"), parse(["deploy"]).kind, "ml")
    assert (edge.client_id, edge.server_id, edge.no_tls_reason) == ("chat.shop", "model-server.ml", "")
    assert "chat" in edges.edges_table([edge]) and "√" in edges.edges_table([edge])
    assert await edges.edges(PlayedPrometheus("http://played"), parse(["deploy"]).kind, "elsewhere") == []
