"""Notebook 05: what its prose claims is what its outputs show."""

from __future__ import annotations

import json

from tests.support.claims import Executed

NB = Executed("05")


def test_the_gateway_rolls_out_and_gets_an_address() -> None:
    NB.says("Expect the gateway to roll out and get an address.")
    rolled, address = NB.lines("05-03")
    assert "successfully rolled out" in rolled and address == "service/linkerd-gateway condition met"


def test_the_service_is_mirrored() -> None:
    NB.says("A Service crosses the link only when its owner *exports* it")
    assert NB.lines("05-07") == ["service/model-server-gpu condition met"]


def test_the_link_is_well_and_shares_one_service() -> None:
    NB.says("Expect √ before every check, and then a gateway that is alive and shares one service.")
    assert not {"×", "‼"} & set(NB.text("05-09")) and "Status check results are √" in NB.text("05-09")
    assert NB.lines("05-09")[-1].split()[:3] == ["gpu", "True", "1"]


def test_the_answer_says_where_it_comes_from() -> None:
    NB.says("The answer says where it comes from: expect cluster `gpu`, and a pod and a GPU in that cluster.")
    answer = json.loads(NB.text("05-13"))
    assert answer["cluster"] == "gpu" and answer["pod"].startswith("model-server-") and answer["gpu"].startswith("GPU-")


def test_the_page_has_an_address() -> None:
    NB.says("The page itself is at the address below")
    assert NB.text("05-15").startswith("http://")


def test_the_difference_of_the_medians_is_small_against_an_answer() -> None:
    NB.says("Compare the two medians: both are above a second, and next to that their difference is small enough to be chance.")
    NB.says("Every answer takes more than a second: almost all of that is the model's time.")
    medians = NB.table("05-18")["p50 ms"]
    assert list(medians.index) == ["inside the gpu cluster", "through the link"] and medians.min() > 1000
    assert medians.max() - medians.min() < 0.15 * medians.min()
    assert NB.table("05-19").loc["answered", "min"] > 1


def test_the_model_takes_almost_all_of_the_time() -> None:
    NB.says("almost all of that is the model's time")
    timings = json.loads(NB.text("05-13"))["timings"]
    assert 0.9 * timings["total"] < timings["model"] <= timings["total"]
