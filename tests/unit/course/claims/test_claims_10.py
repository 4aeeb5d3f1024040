"""Notebook 10: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("10")


def test_one_server_is_left() -> None:
    NB.says("To see what one GPU delivers, scale the other away. Expect `1`.")
    assert NB.lines("10-03") == ["1"]


def test_achieved_is_less_than_offered() -> None:
    NB.says("*Achieved* is less than *offered*, and *good* is what met the objective")
    row = NB.table("10-05").iloc[0]
    assert row["good/s"] <= row["achieved/s"] < 0.95 * row["offered/s"] and row["good %"] < 95


def test_one_gpu_delivers_what_two_numbers_say() -> None:
    NB.says("Eight times 55 is 440 tokens a second.")
    NB.says("440 tokens a second are 440 / 64 = 6.9 requests a second")
    NB.says("(The table shows a somewhat higher rate")
    row = NB.table("10-07").loc["one GPU"]
    assert 380 <= row["tokens/s"] <= 470 and 6 <= row["queue begins at requests/s"] <= 10


def test_utilisation_is_near_ninety_before_the_slots_are_full() -> None:
    NB.says("Utilisation is near 90 while half of the slots are still empty; the slots fill as the load grows")
    NB.says("The tensor cores show why eight answers take no longer than one: they are nearly idle")
    rows = NB.table("10-09")
    assert rows.loc["GPU_UTIL, %", "median"] > 75 and rows.loc["slots in use, %", "min"] <= 50
    assert rows.loc["slots in use, %", "max"] == 100 and rows.loc["requests waiting", "max"] >= 8
    assert rows.loc["requests waiting", "median"] <= 2 and rows.loc["tensor cores, %", "max"] < 15


def test_two_gpus_deliver_twice_as_much() -> None:
    NB.says("Two GPUs deliver twice as much, and the queue begins at a much higher rate")
    NB.says("Twice the tokens, and a queue that begins at a much higher rate: not exactly at twice the rate")
    one, two = NB.table("10-13").loc["one GPU"], NB.table("10-13").loc["two GPUs"]
    assert 1.75 <= two["tokens/s"] / one["tokens/s"] <= 2.2
    assert 1.3 <= two["queue begins at requests/s"] / one["queue begins at requests/s"] <= 2.6


def test_a_second_gpu_makes_no_answer_faster() -> None:
    NB.says("Nor does it make any single answer faster")
    NB.says("While nobody waits, an answer takes the same time in both rows.")
    first, last = NB.table("10-15")["first 20 answers, s"], NB.table("10-15")["last 20 answers, s"]
    assert abs(first["one GPU"] - first["two GPUs"]) < 0.25 and (last > 1.3 * first).all()


def test_an_answer_alone_takes_a_second_and_a_bit() -> None:
    NB.says("the whole answer within two seconds, of which the 64 tokens take 1.2")
    assert 1.0 <= NB.table("10-15").loc["one GPU", "first 20 answers, s"] <= 1.5


def test_the_first_token_waits_on_both_ramps() -> None:
    NB.says("Expect it to climb twice, once on each ramp, with a gap between the two, when nobody asked anything")
    assert "It includes the time in the queue and grows with it." in NB.html("10-17")
    table = NB.table("10-17")
    assert len(table) == 2 and (table["max"] > 5 * table["min"]).all() and (table["max"] > 0.5).all()


def test_what_a_token_costs() -> None:
    NB.says("At a rate that one GPU can handle, two cost twice as much per token.")
    NB.says("At 12 requests a second, one GPU is the cheapest of all")
    prices = {int(row[0]): (float(row[1]), float(row[2])) for line in NB.lines("10-19") if (row := line.split())[0].isdigit()}
    assert list(prices) == [1, 3, 6, 12] and all(abs(two / one - 2) < 0.02 for one, two in list(prices.values())[:3])
    assert prices[12][0] == min(price for row in prices.values() for price in row)


def test_both_gpus_serve_again() -> None:
    NB.says("Both GPUs serve again, and Prometheus has recorded the queue of one and the tokens of two.")
    assert NB.html("10-23").count("passed") >= 3
