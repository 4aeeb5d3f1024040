"""``lab goto`` tells the truth: forwards it runs steps, backwards it begins from nothing, and it ends by looking."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from labs import errors, kube
from labs.clusters import backends
from labs.course import begin, catchup, commands, run
from labs.course.catchup import FOOTPRINTS
from labs.course.notebooks import all_notebooks
from labs.faults import lifecycle


class FakeLab:
    """A lab in which the notebooks before ``number`` have been run, known by their objects."""

    def __init__(self, number: str) -> None:
        self.objects = {(n.cluster, n.kind, n.namespace, n.name) for n in FOOTPRINTS if n.made_by < number}

    def cluster(self, name: str) -> Any:
        return SimpleNamespace(api=(self, name))


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ``goto`` did. No lab runs unless a test says so (``here``)."""
    did: list[str] = []
    backend = SimpleNamespace(name="embedded", prepare=lambda progress: did.append("prepare"), down=lambda: did.append("down"))
    monkeypatch.setattr(backends, "current", lambda: backend)
    monkeypatch.setattr(backends, "to_remove", lambda: backend)
    monkeypatch.setattr(commands, "_resume", lambda: did.append("resume"))
    monkeypatch.setattr(lifecycle, "heal_all", lambda lab: [SimpleNamespace(title="a partition")])
    monkeypatch.setattr(catchup, "running_lab", lambda: None)
    monkeypatch.setattr(catchup, "verify", lambda number: did.append(f"verify {number}"))

    def get(api: Any, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        lab, cluster = api
        return {} if (cluster, kind, namespace, name) in lab.objects else None

    def run_notebooks(chosen: list[Any], *_: object, **__: object) -> list[Any]:
        did.append(f"steps of {','.join(notebook.number for notebook in chosen)}")
        return []

    monkeypatch.setattr(kube, "get", get)
    monkeypatch.setattr(run, "run_notebooks", run_notebooks)
    return did


def here(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "running_lab", lambda: FakeLab(number))


def goto(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(commands.goto, list(words), input=answer)


def test_from_nothing(did: list[str]) -> None:
    assert goto("03").exit_code == 0
    assert did == ["prepare", "resume", "steps of 01,02", "verify 03"]


def test_forwards_it_heals_and_removes_nothing(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    here("03", monkeypatch)
    done = goto("05")
    assert did == ["prepare", "resume", "steps of 01,02,03,04", "verify 05"]
    assert "healed a partition" in done.output and "Done: notebook 05 can begin." in done.output


def test_backwards_it_asks_for_yes_where_nobody_can_answer(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    here("08", monkeypatch)
    refused = goto("03")
    assert isinstance(refused.exception, errors.UsageError) and refused.exception.fix == "lab goto 03 --yes"
    assert "deployment tenant/visitor in cluster app (notebook 06)" in refused.output
    assert "hello" not in refused.output, "what notebook 01 made is there when 03 begins"
    assert did == ["prepare", "resume"], "nothing changed"


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_backwards_it_asks(did: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, goes: bool) -> None:
    here("08", monkeypatch)
    monkeypatch.setattr(commands, "_can_answer", lambda: True)
    assert (goto("03", answer=answer).exit_code == 0) == goes
    assert ("down" in did) == goes and ("steps of 01,02" in did) == goes


def test_backwards_with_yes_it_begins_from_nothing(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    here("08", monkeypatch)
    assert goto("03", "--yes").exit_code == 0
    assert did == ["prepare", "resume", "down", "steps of 01,02", "verify 03"]


@pytest.mark.parametrize("number", [notebook.number for notebook in all_notebooks()])
def test_where_a_notebook_begins_is_not_past_it(did: list[str], number: str) -> None:
    later = list(catchup._later_work(cast("Any", FakeLab(number)), number))
    # Notebooks 00 and 01 begin without clusters.
    assert later == (["running clusters (notebook 01)"] if number < "02" else [])


@pytest.mark.parametrize("number", sorted({made.made_by for made in FOOTPRINTS}))
def test_a_notebook_that_has_been_run_shows(did: list[str], number: str) -> None:
    after = FakeLab(f"{int(number) + 1:02}")
    assert list(catchup._later_work(cast("Any", after), number)), "its own beginning is behind it"
    assert not list(catchup._later_work(cast("Any", after), "99"))


def test_a_failed_step_is_an_error_with_its_text(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = SimpleNamespace(error="\x1b[31mBoom\x1b[0m", notebook=SimpleNamespace(number="02"))
    monkeypatch.setattr(run, "run_notebooks", lambda *_, **__: [outcome])
    error = goto("03").exception
    assert isinstance(error, errors.LabError) and "a step of notebook 02 failed:\nBoom" in str(error)
    assert "verify 03" not in did


def test_it_ends_by_looking(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(catchup, "running_lab", lambda: None)
    with pytest.raises(errors.NotRunning, match="notebook 05 needs running clusters"):
        catchup.verify("05")
    catchup.verify("00")
    catchup.verify("99")
    monkeypatch.setattr(catchup, "running_lab", lambda: FakeLab("04"))
    monkeypatch.setattr(begin, "missing_needs", lambda lab, number: iter(["deployment linkerd/x"]))
    with pytest.raises(errors.NotRunning, match="notebook 05 needs something that is missing: deployment linkerd/x"):
        catchup.verify("5")
