"""``lab.check``: what passes, what fails, and what a failing one says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Any, cast

import pytest

from labs import config
from labs.course import checks
from labs.course.checks import Check, Finding, Report, Result, run_all, run_one, select, waiting_line
from labs.course.mime import CHECK_MIME
from labs.course.notebooks import all_notebooks
from labs.errors import CheckFailed, NotFound, TimedOut

LAB = cast("Any", None)


def make(look: Any, within: float = 0) -> Check:
    return Check("42.1", "it is so", "type this", within, look)


def test_a_true_finding_passes() -> None:
    result = run_one(LAB, make(lambda lab: Finding(True, "so")))
    assert result == Result("42.1", "it is so", True, "so", "type this")


def test_a_false_finding_fails_with_what_was_found() -> None:
    result = run_one(LAB, make(lambda lab: Finding(False, "not so")))
    assert not result.passed
    assert str(Report([result])).splitlines() == ["✗ 42.1 expected: it is so", "     found: not so", "       try: type this"]


def test_it_waits_until_it_becomes_true() -> None:
    started = time.monotonic()
    result = run_one(LAB, make(lambda lab: Finding(time.monotonic() > started + 0.05, "late"), within=5))
    assert result.passed


def test_an_error_of_the_lab_is_a_finding_not_a_traceback() -> None:
    def look(lab: Any) -> Finding:
        raise TimedOut("the API server did not answer")

    assert run_one(LAB, make(look)).found == "the API server did not answer"


def test_a_mistake_in_a_check_is_not_hidden() -> None:
    def look(lab: Any) -> Finding:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_one(LAB, make(look))


def test_a_report_that_failed_raises_with_the_first_hint() -> None:
    with pytest.raises(CheckFailed) as caught:
        Report([run_one(LAB, make(lambda lab: Finding(False, "not so")))]).require_passed()
    assert caught.value.fix == "type this"


def test_only_the_first_that_fails_is_waited_for() -> None:
    looks: list[int] = []

    def never(number: int) -> Check:
        def look(lab: Any) -> Finding:
            looks.append(number)
            return Finding(False, "not so")

        return make(look, within=1)

    report = run_all(LAB, [never(1), never(2), never(3)])
    assert [result.passed for result in report.results] == [False] * 3
    assert looks.count(1) > 1 and looks[-2:] == [2, 3]


def test_a_check_that_takes_longer_says_what_it_waits_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ANSWER_AFTER", 0.2)
    told: list[str] = []
    run_one(LAB, make(lambda lab: Finding(False, "1 of 2"), within=1.5), lambda *waits: told.append(waiting_line(*waits)))
    assert len(told) == 1
    assert re.fullmatch(r"… 42.1 not yet: it is so. Found so far: 1 of 2. Looking again for up to 1 s.", told[0])


def test_what_passes_at_once_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ANSWER_AFTER", 0)
    told: list[Any] = []
    run_all(LAB, [make(lambda lab: Finding(True, "so"), within=5)], lambda *waits: told.append(waits))
    assert told == []


def test_an_unknown_check_lists_the_known() -> None:
    with pytest.raises(NotFound) as caught:
        select("77.7")
    assert "01.1" in caught.value.known


def test_one_id_or_a_whole_notebook() -> None:
    assert [check.id for check in select("01.2")] == ["01.2"]
    assert len(select("01")) > 1


def test_every_notebook_has_a_check() -> None:
    numbers = {notebook.number for notebook in all_notebooks()}
    assert numbers == {id.split(".")[0] for id in checks.registered()}


def test_two_checks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two checks are called 01\.1"):
        checks.check("01.1", "x", hint="y")(lambda lab: Finding(True, ""))


def test_a_report_tells_programs_and_people() -> None:
    report = Report([Result("42.1", "a < b", True, "so", "")])
    bundle = report._repr_mimebundle_()
    assert bundle[CHECK_MIME][0]["passed"] is True
    assert "a &lt; b" in bundle["text/html"]
    assert bundle["text/plain"] == "✓ 42.1 a < b"


def test_what_has_not_passed_says_what_to_do() -> None:
    shown = Report([Result("42.1", "a < b", False, "b < a", "swap <them>")])._repr_mimebundle_()["text/html"]
    assert all(text in shown for text in ("✗ not yet", "Found: b &lt; a", "swap &lt;them&gt;"))


def test_a_kernel_that_runs_a_check_imports_none_of_what_reads_notebooks() -> None:
    """nbformat brings jsonschema's format checkers, among them grammars that take more than a second to make."""
    code = "import sys, labs.lab; from labs.course import checks; checks.registered(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=config.ROOT)
    assert not {"nbformat", "nbclient", "nbconvert", "aiohttp", "rfc3987_syntax"} & set(done.stdout.split())
