"""Notebook 03: what its prose claims is what its outputs show."""

from __future__ import annotations

import re

from tests.support.claims import Executed

NB = Executed("03")


def test_the_server_rolls_out() -> None:
    NB.says("Expect `successfully rolled out`.")
    assert all("successfully rolled out" in NB.lines(cell)[-1] for cell in ("03-03", "03-12"))


def test_each_pod_has_one_gpu() -> None:
    NB.says("Expect two pods, and one GPU for each")
    held = NB.table("03-05")
    assert len(held) == held["pod"].nunique() == 2 and held["gpu"].between(0, 3).all()
    assert len(held.drop_duplicates(["node", "gpu"])) == 2


def test_the_answer_names_its_entry() -> None:
    NB.says("Expect an answer that begins with the name of a runbook entry.")
    assert re.match(r"\[runbook: [a-z-]+\] ", NB.text("03-08"))


def test_the_stream_shows_five_tokens() -> None:
    NB.says("Each `content` is one token, sent as soon as it is generated. We ask for five")
    NB.says("The first line says who speaks, the last one before `[DONE]` is empty.")
    first, *tokens, last, done = NB.lines("03-10")
    assert '"role":"assistant"' in first and (last, done) == ("data: {}", "data: [DONE]")
    assert len(tokens) == 5 and all('"content":' in token for token in tokens)


def test_a_row_for_each_gpu_and_all_idle() -> None:
    NB.says("Expect one row for each GPU, all idle")
    power = NB.table("03-14").iloc[:, 0]
    assert len(power) == 8 and power.between(50, 80).all()


def test_forty_answers_have_their_tokens() -> None:
    NB.says("Next we send 40 questions, eight at a time.")
    assert NB.lines("03-17") == [f"{40 * 64} tokens"]


def test_power_follows_the_work() -> None:
    NB.says("Power follows the work: idle, then load, then idle again.")
    NB.says("both GPUs draw several times their idle power, and less than their limit of 400 W")
    power = NB.table("03-18")
    assert len(power) == 2 and power["min"].between(50, 80).all()
    assert (power["max"] > 2 * power["min"]).all() and (power["max"] < 400).all() and (power["last"] < 0.5 * power["max"]).all()


def test_about_eight_run_and_hardly_any_wait() -> None:
    NB.says("While the questions come in, about eight run at once and hardly any wait.")
    requests = NB.table("03-20")
    assert 6 <= requests.loc["running", "max"] <= 10 and requests.loc["waiting", "max"] <= 2
