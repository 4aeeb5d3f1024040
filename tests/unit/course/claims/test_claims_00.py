"""Notebook 00: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("00")


def test_every_line_of_the_doctor_begins_with_a_tick() -> None:
    NB.says("Expect a list of lines that begin with ✓.")
    assert len(NB.lines("00-02")) > 5 and all(line.startswith("✓") for line in NB.lines("00-02"))


def test_the_doctor_looks_at_what_the_prose_lists() -> None:
    NB.says("looks at this machine: Python, free memory, free disk, and the addresses the lab uses")
    for what in ("Python", "free memory", "free disk", "addresses 127."):
        assert what in NB.text("00-02")


def test_the_answer_for_programs() -> None:
    NB.says("Expect `ready: True`")
    assert NB.lines("00-04") == ["ready: True"]


def test_the_machine_has_much_more_than_the_lab_needs() -> None:
    NB.says("Expect the second bar in each pair to be much longer than the first.")
    bars = NB.bars("00-07")
    assert bars["memory: free"] > 1.3 * bars["memory: needed"] and bars["disk: free"] > 1.3 * bars["disk: needed"]


def test_the_guess_is_answered() -> None:
    NB.says("Four GiB are enough for two clusters and ten open notebooks.")
    assert NB.bars("00-07")["memory: needed"] == 4


def test_the_notebook_passed() -> None:
    NB.says("Everything that follows assumes that this notebook passed.")
    assert "the doctor finds nothing wrong" in NB.html("00-09")
