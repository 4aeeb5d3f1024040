"""Notebook 02: what its prose claims is what its outputs show."""

from __future__ import annotations

import pytest

from tests.support.claims import Executed

NB = Executed("02")


def eight_run_and_one_waits(nb: Executed) -> None:
    table = nb.table("02-13")
    assert table.loc["Running", "last"] == 8 and table.loc["Pending", "last"] == 1 and table.loc["Running", "max"] == 8


def test_before_the_plugin_nothing_offers_gpus() -> None:
    NB.says("Expect `<none>`: the label says that the node *has* GPUs, but nothing offers them.")
    assert [line.split()[-1] for line in NB.lines("02-03")[1:]] == ["<none>", "<none>"]


def test_both_workers_offer_four() -> None:
    NB.says("Expect `condition met` for both workers, that is, four GPUs each:")
    assert len(NB.lines("02-07")) == 2 and all(line.endswith("condition met") for line in NB.lines("02-07"))


def test_the_simulator_rolls_out() -> None:
    NB.says("Expect `successfully rolled out`.")
    assert "successfully rolled out" in NB.lines("02-05")[-1]


def test_all_eight_are_free() -> None:
    NB.says("Expect `4` free on both workers.")
    NB.says("All eight are free.")
    assert list(NB.table("room-free")["free"]) == [4, 4]


def test_the_api_server_accepts_the_request() -> None:
    NB.says("The API server accepted it: asking is always allowed.")
    assert NB.lines("02-10")[-1] == "deployment.apps/greedy created"


def test_eight_run_and_the_ninth_waits() -> None:
    NB.says("expect eight to run and one to wait")
    NB.says("the ninth stays Pending for as long as nobody gives a GPU back")
    eight_run_and_one_waits(NB)


def test_an_altered_output_breaks_the_claim() -> None:
    with pytest.raises(AssertionError):
        eight_run_and_one_waits(NB.altered("02-13", "<td>8.0</td>", "<td>9.0</td>"))


def test_changed_prose_breaks_the_claim() -> None:
    with pytest.raises(AssertionError, match="no longer says"):
        NB.says("expect nine to run and none to wait")


def test_the_reason_is_in_an_event() -> None:
    NB.says("Expect `Insufficient nvidia.com/gpu`:")
    assert NB.lines("02-15") == ["Insufficient nvidia.com/gpu"]


def test_what_was_taken_is_given_back() -> None:
    NB.says("Deleting the Deployment frees them at once")
    NB.says("Give the slices back")
    assert all(NB.lines(cell) == ["No resources found in default namespace."] for cell in ("02-17", "02-28"))


def test_the_four_gpus_of_a_node_idle() -> None:
    NB.says("Expect a temperature, a power draw and a utilisation for each of the four GPUs of one node; they idle now.")
    rows = [line.split() for line in NB.lines("02-19")]
    assert rows[0][:6] == ["GPU", "STATE", "UTIL", "MEMORY", "POWER", "TEMP"] and len(rows) == 5
    assert all(row[1:3] == ["ok", "0%"] and row[4].endswith("W") and row[5].endswith("C") for row in rows[1:])


def test_the_fifth_pod_shares_a_gpu_and_all_see_all_of_the_memory() -> None:
    NB.says("each of the first four got its own GPU; the fifth moved in with one of them")
    NB.says("Each sees *all* of the memory")
    rows = [line.split(maxsplit=2) for line in NB.lines("02-26")]
    assert sorted(count for count, *_ in rows) == ["1", "1", "1", "2"] and {memory for *_, memory in rows} == {"81920 MiB"}


def test_mig_offers_what_the_prose_says() -> None:
    NB.says("Expect four small instances, one larger one, and three GPUs.")
    assert len(NB.lines("02-30")) == 3 and all(line.endswith("condition met") for line in NB.lines("02-30"))


def test_the_pod_sees_its_instance_by_the_same_name_twice() -> None:
    NB.says("Expect a UUID that begins with `MIG-`.")
    NB.says("The UUID in the environment is the one that `nvidia-smi` shows.")
    gpu, instance, environment = NB.lines("02-32")
    assert "UUID: GPU-" in gpu and environment.startswith("MIG-") and environment in instance


def test_the_slices_are_still_in_the_capacity() -> None:
    NB.says("expect a capacity of 16 and nothing allocatable")
    assert NB.lines("02-33-node")[1].split()[1:] == ["16", "0"]


def test_the_node_offers_whole_gpus_again() -> None:
    NB.says("Undo all of it: the node offers four whole GPUs again. Expect `condition met`.")
    assert NB.text("02-34").strip().endswith("condition met")
