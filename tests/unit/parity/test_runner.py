"""Running rows: again until they settle, in order where they must be, errors as findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labs.clusters.embedded import Embedded
from labs.errors import TimedOut
from tests.parity import report, runner
from tests.parity.context import ParityContext
from tests.parity.rows import Topic


@pytest.fixture
def stage() -> ParityContext:
    # Nothing runs: the rows here ask no cluster.
    return ParityContext(Embedded())


def one(stage: ParityContext, probe: Any, real: Any = 1, **declared: Any) -> runner.Outcome:
    topic = Topic("t", "kubelet", "T")
    topic.row("asked", real=real, source="x.txt", **declared)(probe)
    (outcome,) = runner.run([topic], stage)
    return outcome


def answers_one(stage: ParityContext) -> int:
    return 1


def answers_two(stage: ParityContext) -> int:
    return 2


def test_a_row_that_says_same_and_is_not_fails(stage: ParityContext) -> None:
    assert one(stage, answers_one).as_declared
    assert not one(stage, answers_two).as_declared


@pytest.mark.parametrize("declared", ["differs", "missing"])
def test_a_row_that_says_differs_and_is_the_same_fails_too(stage: ParityContext, declared: str) -> None:
    assert one(stage, answers_two, **{declared: "why"}).as_declared
    assert not one(stage, answers_one, **{declared: "why"}).as_declared


def test_a_row_that_cannot_be_asked_fails_whatever_it_declares(stage: ParityContext) -> None:
    def late(stage: ParityContext) -> int:
        raise TimedOut("it took too long")

    outcome = one(stage, late, differs="why")
    assert not outcome.as_declared
    assert outcome.error == "it took too long"


def test_a_probe_that_stumbles_is_a_finding_and_not_the_end(stage: ParityContext) -> None:
    def stumbles(stage: ParityContext) -> Any:
        nothing: dict[str, Any] = {}
        return nothing["status"]

    assert "KeyError" in one(stage, stumbles).error


def test_an_answer_may_settle(stage: ParityContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_AGAIN", 0.01)
    looks = iter(range(100))

    def settles(stage: ParityContext) -> int:
        return next(looks)

    assert one(stage, settles, real=3, within=5).same


def test_ordered_rows_run_one_after_the_other_and_lonely_topics_last(stage: ParityContext) -> None:
    ran: list[str] = []
    alone, ordered = Topic("alone", "linkerd", "A", ordered=True, alone=True), Topic("ordered", "linkerd", "O", ordered=True)
    for topic in (alone, ordered):
        for number in range(3):

            def probe(stage: ParityContext, name: str = f"{topic.name}{number}") -> None:
                ran.append(name)

            probe.__name__ = f"p{number}"
            topic.row("asked", real=None, source="x.txt")(probe)
    outcomes = runner.run([alone, ordered], stage)
    assert ran == ["ordered0", "ordered1", "ordered2", "alone0", "alone1", "alone2"]
    assert [outcome.row.topic for outcome in outcomes] == ["alone"] * 3 + ["ordered"] * 3


def test_once_is_once_for_everyone_and_its_error_too(stage: ParityContext) -> None:
    made: list[int] = []

    def fails() -> None:
        made.append(1)
        raise TimedOut("never")

    for _ in range(2):
        with pytest.raises(TimedOut):
            stage.once("key", fails)
    assert made == [1]


def test_the_report_says_what_was_not_expected(stage: ParityContext) -> None:
    outcomes = [one(stage, answers_one), one(stage, answers_two), one(stage, answers_two, differs="why")]
    assert [report.word(outcome, False) for outcome in outcomes] == ["same", "DIFFERS", "differs"]
    assert [report.word(outcome, True) for outcome in outcomes] == ["same", "DIFFERS", "DIFFERS"]
    assert report.word(one(stage, answers_one, differs="why"), False) == "same (declared: differs)"
    rows = json.loads(report.as_json(outcomes, False))
    assert [row["answer"] for row in rows] == [1, 2, 2]
