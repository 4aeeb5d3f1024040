"""Notebook 11: what its prose claims is what its outputs show."""

from __future__ import annotations

import re

from tests.support.claims import Executed

NB = Executed("11")


def paged(cell: str) -> dict[str, tuple[str, str]]:
    """What the page says of each symptom: before and now."""
    rows = re.findall(r"- (.+): ([\d,.]+|none) before, ([\d,.]+|none) now", NB.text(cell))
    return {name: (before, now) for name, before, now in rows}


def late(before: str, now: str) -> bool:
    return now == "none" or float(now.replace(",", "")) > 1.2 * float(before.replace(",", ""))


def test_some_are_refused_and_the_others_are_late() -> None:
    NB.says("Users notice two things: some requests are refused, and the answers that still come are late.")
    page = paged("11-03")
    assert float(page["4xx per second"][1]) > 0 and late(*page["latency p95, ms"])


def test_the_calls_by_status() -> None:
    NB.says("Expect two lines.")
    NB.says("More and more calls get 400, and fewer and fewer get 200.")
    table = NB.table("11-05")
    assert list(table.index) == ["200", "400"]
    assert table.loc["200", "last"] < 0.5 * table.loc["200", "max"] and table.loc["400", "last"] > table.loc["400", "min"]


def test_both_kinds_are_late_by_the_same() -> None:
    NB.says("Both kinds are late by about the same 0.7 s, even the refused ones, which take no work at all.")
    NB.says("an answer took 1.0 to 1.6 s, and a refused request a few milliseconds")
    table = NB.table("11-07")
    assert 0.69 <= table.loc["400", "min"] <= 1.0 and 1.6 <= table.loc["200", "min"] <= 2.3
    assert table.loc["400", "50%"] < 1.2


def test_the_probe_is_late_too() -> None:
    NB.says("The probe asks no model; it only crosses the link and comes back. It is late too")
    assert int(NB.lines("11-09")[1].split()[3].rstrip("ms")) >= 690


def test_the_server_is_not_slower() -> None:
    NB.says("Expect no *growth* compared with the steady state")
    NB.says("The round trip to the gateway grew, and the time to the first token did not")
    NB.says("Tokens per second are down, because a refused request never reaches an engine.")
    words = NB.moved("11-11")
    assert words["round trip to the gateway, ms"] == "up" and words["tokens per second"] == "down"
    assert words["time to first token p95, s"] in ("-", "gone") and words["requests waiting"] == "-"


def test_one_pod_refuses_everything() -> None:
    NB.says("Expect two pods.")
    NB.says("One pod refuses nothing. The other refuses everything, generates no tokens, and gets most or all of the calls")
    table = NB.table("11-13").sort_values("refused per s")
    good, bad = table.iloc[0], table.iloc[1]
    assert len(table) == 2 and good["refused per s"] == 0 and bad["refused per s"] > 2.5 and bad["tokens per s"] == 0


def test_two_pods_are_ready_and_one_is_younger() -> None:
    NB.says("Expect two pods, both Ready, with no restarts. But look at their ages, and at their names.")
    NB.says("One is much younger and belongs to another ReplicaSet")
    pods = [line.split() for line in NB.lines("11-15") if line.startswith("model-server-")]
    assert [pod[1:4] for pod in pods] == [["2/2", "Running", "0"]] * 2
    assert len({pod[0].rpartition("-")[0] for pod in pods}) == 2


def test_the_command_lines_differ() -> None:
    NB.says("somebody limited the context to 64 tokens")
    assert NB.lines("11-17") == ['["model-server","--max-model-len=64"]', '["model-server"]']


def test_the_first_repair_ends_one_symptom() -> None:
    NB.says("Nothing is refused any more, but answers are still late.")
    page = paged("11-20")
    assert "4xx per second" not in page and late(*page["latency p95, ms"])


def test_the_undo_leaves_the_rest_of_the_change() -> None:
    NB.says("`rollout undo` restores the pod template and nothing else.")
    assert NB.lines("11-22") == ["minReadySeconds: 120"]


def test_both_are_healed_and_all_is_quiet() -> None:
    NB.says('All quiet: that, and not "we changed something", is the end of an incident.')
    assert [line.split(":")[0] for line in NB.lines("11-24")] == ["healed", "healed"] and "all quiet" in NB.text("11-25")


def test_calls_become_late_and_fast_again() -> None:
    NB.says("Calls become late when the link does and fast again when it is repaired")
    row = NB.table("11-27").loc["Mesh: latency of those calls: p95"]
    assert row["max"] > 2500 and row["min"] < 2500 and row["last"] < row["max"]


def test_the_rollout_empties_the_model_server_and_moves_no_error() -> None:
    NB.says("the bad rollout empties the model server and moves nothing that counts as an error")
    NB.says("The panel of calls shows no incident at all, only successes: a late answer is a success, and so is a 400.")
    rows = NB.table("11-27")
    assert rows.loc["Model server: requests: running", "min"] == 0 and rows.loc["Mesh: calls to the model: failure", "max"] == 0
    assert rows.loc["Mesh: calls to the model: success", "median"] > 3


def test_both_causes_are_shaded() -> None:
    NB.says("Both causes are shaded.")
    assert {label.split()[0] for label in NB.shaded("11-27")} == {"bad-rollout", "link-latency"}
