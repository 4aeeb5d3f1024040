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
def context() -> ParityContext:
    # Nothing runs: the rows here ask no cluster.
    return ParityContext(Embedded())


def one(context: ParityContext, probe: Any, real: Any = 1, **declared: Any) -> runner.Outcome:
    topic = Topic("t", "kubelet", "T")
    topic.row("asked", real=real, source="x.txt", **declared)(probe)
    (outcome,) = runner.run([topic], context)
    return outcome


def answers_one(context: ParityContext) -> int:
    return 1


def answers_two(context: ParityContext) -> int:
    return 2


def test_a_row_that_says_same_and_is_not_fails(context: ParityContext) -> None:
    assert one(context, answers_one).as_declared
    assert not one(context, answers_two).as_declared


@pytest.mark.parametrize("declared", ["differs", "missing"])
def test_a_row_that_says_differs_and_is_the_same_fails_too(context: ParityContext, declared: str) -> None:
    assert one(context, answers_two, **{declared: "why"}).as_declared
    assert not one(context, answers_one, **{declared: "why"}).as_declared


def test_a_row_that_cannot_be_asked_fails_whatever_it_declares(context: ParityContext) -> None:
    def late(context: ParityContext) -> int:
        raise TimedOut("it took too long")

    outcome = one(context, late, differs="why")
    assert not outcome.as_declared
    assert outcome.error == "it took too long"


def test_a_probe_that_stumbles_is_a_finding_and_not_the_end(context: ParityContext) -> None:
    def stumbles(context: ParityContext) -> Any:
        nothing: dict[str, Any] = {}
        return nothing["status"]

    assert "KeyError" in one(context, stumbles).error


def test_an_answer_may_settle(context: ParityContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_AGAIN", 0.01)
    looks = iter(range(100))

    def settles(context: ParityContext) -> int:
        return next(looks)

    assert one(context, settles, real=3, within=5).same


def test_ordered_rows_run_one_after_the_other_and_lonely_topics_last(context: ParityContext) -> None:
    ran: list[str] = []
    alone, ordered = Topic("alone", "linkerd", "A", ordered=True, alone=True), Topic("ordered", "linkerd", "O", ordered=True)
    for topic in (alone, ordered):
        for number in range(3):

            def probe(context: ParityContext, name: str = f"{topic.name}{number}") -> None:
                ran.append(name)

            probe.__name__ = f"p{number}"
            topic.row("asked", real=None, source="x.txt")(probe)
    outcomes = runner.run([alone, ordered], context)
    assert ran == ["ordered0", "ordered1", "ordered2", "alone0", "alone1", "alone2"]
    assert [outcome.row.topic for outcome in outcomes] == ["alone"] * 3 + ["ordered"] * 3


def test_once_is_once_for_everyone_and_its_error_too(context: ParityContext) -> None:
    made: list[int] = []

    def fails() -> None:
        made.append(1)
        raise TimedOut("never")

    for _ in range(2):
        with pytest.raises(TimedOut):
            context.once("key", fails)
    assert made == [1]


def test_the_report_says_what_was_not_expected(context: ParityContext) -> None:
    outcomes = [one(context, answers_one), one(context, answers_two), one(context, answers_two, differs="why")]
    assert [report.word(outcome, False) for outcome in outcomes] == ["same", "DIFFERS", "differs"]
    assert [report.word(outcome, True) for outcome in outcomes] == ["same", "DIFFERS", "DIFFERS"]
    assert report.word(one(context, answers_one, differs="why"), False) == "same (declared: differs)"
    rows = json.loads(report.as_json(outcomes, False))
    assert [row["answer"] for row in rows] == [1, 2, 2]
