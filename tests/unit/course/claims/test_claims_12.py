"""Notebook 12: what its prose claims is what its outputs show."""

from __future__ import annotations

import re

from tests.support.claims import Executed

NB = Executed("12")


def test_the_first_page_says_little() -> None:
    NB.says("Expect a first page that says little: the failure is only a moment old.")
    assert "no user complains yet" in NB.text("12-03")


def test_the_snapshot_has_twelve_numbers() -> None:
    NB.says("Which of the twelve numbers do you want to see first, and why?")
    assert len(NB.table("12-05")) == 12


def test_what_the_snapshot_rules_out() -> None:
    NB.says("All GPUs report and none is hot: it is not a GPU. The round trip is unchanged: it is not the network.")
    NB.says("No failures and no 4xx: nobody is refused.")
    table = NB.table("12-05")
    assert table.loc["GPUs reporting", "now"] == 8 and table.loc["hottest GPU in use, °C", "now"] < 80
    for name in ("round trip to the gateway, ms", "failures per second", "4xx per second"):
        assert table.loc[name, "moved"] == "-", name


def test_one_of_two_servers_is_ready() -> None:
    NB.says("But only one of the two model servers is ready, and it carries all the load.")
    table = NB.table("12-05")
    assert table.loc["ready model servers", "now"] == 1 and table.loc["tokens per second", "now"] > 100


def test_the_pod_exits_and_is_young() -> None:
    NB.says("A pod that exits as soon as it starts and is only seconds old")
    name, _, status, *_, age = NB.lines("12-07")[0].split()
    assert name.startswith("model-server-") and status == "CrashLoopBackOff" and age.endswith("s") and "m" not in age


def test_it_does_not_know_a_flag() -> None:
    NB.says("The new version is started with a flag that it does not know.")
    assert "unrecognized arguments: --speculative-tokens=4" in NB.text("12-09")


def test_the_hint_names_what_was_done_already() -> None:
    NB.says("A hint costs ten points and names the next place to look. Expect something we have already done:")
    assert "get pods" in NB.text("12-11") and "-10 points" in NB.text("12-11")


def test_five_repairs_to_choose_from() -> None:
    NB.says("You choose from all objects in the catalogue, and from five repairs, one of which is right.")
    repairs = re.findall(r"^ +([A-Z]): ", NB.text("12-13"), re.MULTILINE)
    assert repairs == list("ABCDE") and "model server's new version" in NB.text("12-13")


def test_the_layer_is_where_the_failure_comes_from() -> None:
    NB.says("a program's wrong flag belongs to serving")
    NB.says("| each hint | −10 |")
    assert "90 points" in NB.html("12-15") and "crash-loop" in NB.html("12-15")


def test_the_replay_notes_are_in_order() -> None:
    NB.says("Here is each number that left its steady state, in order, with the seconds since the injection:")
    notes = NB.table("12-17")
    assert list(notes["at s"]) == sorted(notes["at s"]) and "ready model servers" in list(notes["indicator"])


def test_the_board_shows_the_game() -> None:
    NB.says("Every game adds a line to `report/leaderboard.jsonl`.")
    assert 90 in list(NB.table("12-21")["points"])


def test_the_next_game_has_not_started() -> None:
    NB.says("The cell creates a game but does not start it:")
    assert "not started" in NB.text("12-23")
