"""Notebook 09: what its prose claims is what its outputs show."""

from __future__ import annotations

import re

from tests.support.claims import Executed

NB = Executed("09")


def test_the_mirror_created_all_three() -> None:
    NB.says("Expect `mirrored` once the mirror has created all three Services.")
    assert NB.lines("09-03") == ["mirrored"]


def test_whole_answers_go_elsewhere_and_streams_do_not() -> None:
    NB.says("Whole answers go elsewhere within a second; streams of slow tokens do not.")
    NB.says("A pod whose tokens trickle keeps its share")
    share = NB.table("09-07")
    assert share.loc["whole answers", "max"] > 15 and share.loc["whole answers", "last"] < 10
    assert share.loc["streams", "last"] > 15


def test_more_than_a_third_fails_and_fast() -> None:
    NB.says("It is more than a third: nothing is as fast as an error.")
    assert NB.table("09-09").iloc[0]["errors %"] > 34


def test_retries_hide_most_failures_but_not_all() -> None:
    NB.says("Far fewer fail, but not none")
    assert 0 < NB.table("09-12").iloc[0]["errors %"] < 0.6 * NB.table("09-09").iloc[0]["errors %"]


def test_the_breaker_takes_the_pod_out_after_seven() -> None:
    NB.says("Seven failures in a row, then the pod is out; single later failures are the breaker's probes.")
    row = NB.table("09-17").loc["breaker"]
    assert 7 <= round(row["errors %"] * row["requests"] / 100) <= 16


def test_retries_cost_time_and_the_breaker_does_not() -> None:
    NB.says("Both hide most of the failures.")
    NB.says("some calls still fail, the work is done twice, and the median grows")
    NB.says("and the median stays where it was")
    table = NB.table("09-17")
    assert (table.loc[["retries", "breaker"], "errors %"] < 0.6 * table.loc["nothing", "errors %"]).all()
    assert table.loc["retries", "p50 ms"] > 1.1 * table.loc["breaker", "p50 ms"] and table.loc["breaker", "p50 ms"] < 140


def test_the_gateway_takes_the_whole_cluster_out() -> None:
    NB.says("After seven failures in a row it is out, despite the healthy pod behind it")
    NB.says("From pod to pod, only the sick pod is out.")
    errors = NB.table("09-19")["errors %"]
    assert errors["through the gateway"] > 80 and errors["pod to pod"] < 25


def test_calls_wait_three_seconds_for_an_endpoint() -> None:
    NB.says("calls wait three seconds for an endpoint (504), and later ones fail at once (503)")
    assert 2500 < NB.table("09-19").loc["through the gateway", "p99 ms"] < 4500


def test_one_timeout_cuts_off_a_stream_and_the_other_does_not() -> None:
    NB.says("`idle` only asks whether anything moves, and lets a healthy stream run as long as it likes.")
    assert NB.lines("09-21") == ["request 1 s: 200, cut off after 1 s", "idle 1 s: 200, whole after 2 s"]


def test_the_header_goes_to_v2() -> None:
    NB.says("Expect v2 for all calls with the header.")
    assert [line.strip() for line in NB.lines("09-23")] == ["10 × 200 from v2"]


def test_around_six_of_thirty_go_to_v2() -> None:
    NB.says("Around six of thirty go to v2, a few more or fewer by chance.")
    NB.says("The route's status says that it was accepted and that its backends exist")
    counts = {version: int(count) for count, version in re.findall(r"(\d+) × 200 from (v\d)", NB.text("09-24"))}
    assert sum(counts.values()) == 30 and 1 <= counts["v2"] <= 13
    assert NB.lines("09-24")[-2:] == ["Accepted: Accepted", "ResolvedRefs: ResolvedRefs"]


def test_two_kinds_of_link_lose_every_call_and_the_third_answers_most() -> None:
    NB.says("two kinds of link lose every call, the third still answers most")
    NB.says("Through the gateway and from pod to pod, every call is lost; the federated Service still answers most.")
    answered = NB.table("09-27")
    for way in ("through the gateway", "pod to pod"):
        assert answered.loc[way, "max"] == 100 and answered.loc[way, "last"] == 0
    assert answered.loc["federated", "min"] >= 50 and answered.loc["federated", "median"] >= 60


def test_first_failures_then_answers() -> None:
    NB.says("Expect failures, and then answers.")
    assert [line.strip() for line in NB.lines("09-29")] == ["5 × 500, said the server", "5 × 200 from v1"]
