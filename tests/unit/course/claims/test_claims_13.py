"""Notebook 13: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("13")


def test_two_mirrored_services() -> None:
    NB.says("Expect two mirrored Services.")
    assert NB.lines("077b2c3f") == ["service/echo-gpu", "service/echo-flat-gpu"]


def test_which_pods_carry_a_proxy() -> None:
    NB.says("`2/2` counts the app and its sidecar, `1/1` the app alone.")
    assert [line.split()[0::2] for line in NB.lines("b5b43a74")] == [["cost", "2/2"]] * 2 + [["cost-plain", "1/1"]] * 2


def test_every_path_was_asked_as_often() -> None:
    NB.says("We send a hundred requests a second on each path for one and a half seconds, in four rounds.")
    table = NB.table("8e2c193d")
    assert (table["requests"] == 600).all() and (table["failed"] == 0).all() and table["p50 added"].isna().sum() == 1


def test_the_interval_holds_the_difference() -> None:
    NB.says("`added` is the difference from the direct path. `from` and `to` are the ends of its 95 % confidence interval")
    table = NB.table("8e2c193d").drop("direct")
    assert (table["p50 from"] <= table["p50 added"]).all() and (table["p50 added"] <= table["p50 to"]).all()


def test_the_median_is_steadier_than_the_tail() -> None:
    NB.says("The median is steady; the 99th percentile shows the mood of a busy machine.")
    table = NB.table("8e2c193d").drop("direct")
    assert ((table["p50 to"] - table["p50 from"]) < (table["p99 to"] - table["p99 from"])).all()


def test_meshed_comes_first_and_the_gateway_is_above_it() -> None:
    NB.says("Compare the order, not the figures: meshed comes first, and the gateway is a little above it.")
    NB.says("Going from pod to pod saves the hop through the gateway")
    added = NB.table("8e2c193d")["p50 added"]
    assert 0 < added["meshed"] < added["through the gateway"] and added["flat"] < added["through the gateway"]
    assert "'meshed': 1.4, 'through the gateway': 2.0" in NB.text("97252559")


def test_a_millisecond_or_two() -> None:
    NB.says("A millisecond or two is a lot for a service that needs no longer than that itself")
    table = NB.table("8e2c193d")
    assert table["p50 added"].min() > 0.2 and table["p50 added"].max() < 10
    assert table["p50 added"].max() > 0.4 * table.loc["direct", "p50 ms"]


def test_what_a_proxy_needs() -> None:
    NB.says("Expect around a millisecond of CPU time per request and proxy, and a few tens of MiB for each proxy.")
    proxies = NB.table("f393b18f")
    assert proxies["CPU ms per request"].between(0.2, 4).all() and proxies["memory MiB"].between(10, 100).all()


def test_the_gateways_proxy_does_most() -> None:
    NB.says("The *gateway's* proxy does most of the work per request")
    assert NB.table("f393b18f")["CPU ms per request"].idxmax() == "gateway's"


def test_little_of_the_direct_rate_is_left() -> None:
    NB.says("Every path through the mesh leaves a small part of the direct rate, and the gateway leaves the least.")
    rates = NB.bars("4c589eb3")
    direct = rates.pop("direct")
    assert max(rates.values()) < 0.3 * direct and min(rates, key=lambda name: rates[name]) == "through the gateway"
