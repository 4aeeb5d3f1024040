"""Notebook 08: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("08")


def moved(cell: str, *names: str) -> list[str]:
    words = NB.moved(cell)
    return [words[name] for name in names]


def test_the_catalogue_has_five_layers() -> None:
    NB.says("Which failures does the lab know? Expect five layers")
    assert [line.split()[0] for line in NB.lines("08-03")] == ["gpu", "kubernetes", "serving", "mesh", "network"]


def test_all_is_well_at_six_a_second() -> None:
    NB.says("All is well: about six calls a second succeed, nothing waits, nothing fails, two servers are ready.")
    now = NB.table("08-05")["now"]
    assert 5.2 <= now["successes per second"] <= 7 and now["ready model servers"] == 2
    assert now["requests waiting"] <= 1 and now["failures per second"] == now["4xx per second"] == 0


def test_gone_is_explained() -> None:
    NB.says("`gone` means that nothing is left to measure, and *now* shows `NaN`")
    table = NB.table("08-07")
    assert (table["moved"] == "gone").sum() >= 2 and table.loc[table["moved"] == "gone", "now"].isna().all()


def test_a_policy_refuses_and_successes_do_not_drop() -> None:
    NB.says("Nobody gets an answer, yet *successes per second* do not drop")
    NB.says("The row that gives it away is *4xx*.")
    assert moved("08-07", "4xx per second", "failures per second") == ["up", "-"]
    assert NB.moved("08-07")["successes per second"] in ("-", "up")


def test_a_policy_leaves_nothing_to_measure() -> None:
    NB.says("There are no tokens, and `gone` says that there is no busy GPU, no first token and no answer to measure.")
    assert moved("08-07", "tokens per second", "slowest busy clock, MHz") == ["down", "gone"]
    assert moved("08-07", "time to first token p95, s", "latency p95, ms") == ["gone", "gone"]


def test_a_cut_link_makes_calls_fail_and_the_round_trip_go() -> None:
    NB.says("After a few seconds the proxies give up, and calls fail. The round trip is `gone`")
    assert moved("08-09", "failures per second", "successes per second") == ["up", "down"]
    assert NB.moved("08-09")["round trip to the gateway, ms"] == "gone"


def test_a_cut_link_leaves_the_gpu_cluster_well() -> None:
    NB.says("In the gpu cluster *nothing* is wrong; there is just nothing to do.")
    assert moved("08-09", "GPUs reporting", "ready model servers", "requests waiting", "tokens per second") == [
        "-",
        "-",
        "-",
        "down",
    ]


def test_overload_makes_requests_wait() -> None:
    NB.says("Requests wait, so the time to the first token grows; tokens per second rise to the most the GPUs can deliver.")
    assert moved("08-11", "requests waiting", "time to first token p95, s", "tokens per second") == ["up", "up", "up"]


def test_overload_breaks_nothing() -> None:
    NB.says("Nothing fails. The GPUs are neither hot nor slow: they do what they can.")
    assert moved("08-11", "failures per second", "4xx per second") == ["-", "-"]
    assert moved("08-11", "hottest GPU in use, °C", "slowest busy clock, MHz") == ["-", "-"]


def test_the_hypothesis_does_not_hold() -> None:
    NB.says("It did not hold.")
    NB.says("Every pod was Ready, every answer a 200")
    assert "did not hold" in NB.html("08-13")
    phases = NB.table("08-13")
    assert list(phases["objective"]) == ["met", "missed", "met"] and (phases["failed %"] == 0).all()


def test_heat_lowers_the_clock_and_delays_answers() -> None:
    NB.says("Expect the temperature to rise, the clock to fall, no errors, and the latency to grow:")
    layers = NB.tables("08-13")[1].set_index("indicator")
    words = layers["moved"]
    assert words["hottest GPU in use, °C"] == words["latency p95, ms"] == "up" and words["slowest busy clock, MHz"] == "down"
    assert words["failures per second"] == words["4xx per second"] == words["ready model servers"] == "-"
    assert layers.notna().all(axis=None), "every phase has its numbers"


def test_a_silent_node_takes_four_gpus_off_the_graphs() -> None:
    NB.says("Four of the eight GPUs are gone from the graphs, and hardly anything else has moved.")
    table = NB.table("08-17")
    assert table.loc["GPUs reporting", "now"] == 4 and (table["moved"] == "-").sum() >= len(table) - 3


def test_kubernetes_does_not_know_yet() -> None:
    NB.says("All Ready, and both servers count as ready.")
    assert all(line.endswith("True") for line in NB.lines("08-19")[1:]) and len(NB.lines("08-19")) == 4
    assert NB.table("08-17").loc["ready model servers", "now"] == 2


def test_a_lost_gpu_fails_calls_until_its_server_is_unready() -> None:
    NB.says("Seven GPUs report, one server is ready, and calls have failed.")
    now = NB.table("08-21")["now"]
    assert now["GPUs reporting"] == 7 and now["ready model servers"] == 1
    assert NB.moved("08-21")["failures per second"] == "up"


def test_the_node_has_four_and_offers_three() -> None:
    NB.says("The node offers one GPU fewer (*allocatable*), but it still *has* it (*capacity*)")
    assert sorted(tuple(line.split()[1:]) for line in NB.lines("08-23")[1:]) == [("4", "3"), ("4", "4")]


def test_users_felt_six_failures() -> None:
    NB.says("Six failures, six shapes.")
    NB.says("A policy refuses at once")
    assert len(NB.shaded("08-25")) == 6 and NB.table("08-25").loc["failed", "min"] < 0.1


def test_what_identifies_each_failure() -> None:
    NB.says("*4xx* for the policy, the *round trip* for the cut link, *requests waiting* for overload")
    NB.says("*temperature* and *clock* for heat, *GPUs reporting* for the last two")
    table = NB.table("08-27")
    only = {
        "4xx per second": {"policy-lockout"},
        "round trip to the gateway, ms": {"link-partition"},
        "requests waiting": {"overload"},
        "hottest GPU in use, °C": {"gpu-overheat"},
        "GPUs reporting": {"node-lost", "gpu-xid79"},
    }
    for name, failures in only.items():
        assert set(table.columns[table.loc[name] != "-"]) == failures, name
    assert table.loc["slowest busy clock, MHz", "gpu-overheat"] == "down"


def test_no_single_row_shows_all_six() -> None:
    NB.says("No single row shows all six: that is why you look at every layer.")
    table = NB.table("08-27")
    assert table.shape[1] == 6 and not (table != "-").all(axis=1).any()


def test_kubernetes_knows_about_one_of_two_lost() -> None:
    NB.says("A lost GPU and a lost node both take GPUs off the graph; Kubernetes knows about only one of them.")
    row = NB.table("08-27").loc["ready model servers"]
    assert (row["gpu-xid79"], row["node-lost"]) == ("down", "-")
