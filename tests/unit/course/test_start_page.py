"""The page that JupyterLab opens first: the map, where the learner is, and links that lead somewhere."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from labs import config
from labs.course import checks, start_page
from labs.course.begin import builds_on
from labs.course.checks import Report, Result
from labs.course.notebooks import all_notebooks
from labs.course.progress import FILE, Progress
from labs.course.workspace import Workspace

NOON = datetime(2026, 1, 1, 12, 0)


def passed(*numbers: str) -> dict[str, str]:
    return {id: "" for id in checks.registered() if id.split(".")[0] in numbers}


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ((), "00"),
        (("00",), "01"),
        (("00", "01", "02"), "03"),
        (("05",), "06"),  # caught up with lab goto 05
        (("99",), "99"),
    ],
)
def test_where_the_learner_is(done: tuple[str, ...], expected: str) -> None:
    assert start_page.here(start_page.rows(passed(*done))).notebook.number == expected


def test_a_notebook_that_was_begun_is_where_the_learner_is() -> None:
    table = start_page.rows({"02.1": ""})
    assert start_page.here(table).notebook.number == "02"
    assert re.fullmatch(r"◐ 1 of \d checks", table[2].state)


def test_the_map_has_every_notebook_with_its_minutes_and_needs() -> None:
    text = start_page.text(passed("00", "01"), NOON)
    for notebook in all_notebooks():
        assert f"]({notebook.path.name}) | {notebook.minutes} |" in text
    assert text.count("✓ done") == 2 and "You have finished 2 of 15 notebooks" in text
    assert "[02 · GPUs](02-gpus.ipynb).**" in text and "As of 12:00" in text


def test_what_a_notebook_builds_on() -> None:
    assert builds_on("00") == builds_on("01") == builds_on("99") == []
    assert builds_on("02") == ["01"]
    assert builds_on("05") == ["01", "02", "03", "04"]


def test_every_link_leads_somewhere() -> None:
    workspace = Workspace()
    names = {notebook.path.name for notebook in all_notebooks()}
    for target in re.findall(r"\]\(([^)]+)\)", start_page.text({}, NOON)):
        assert target in names or (config.WORK / target).resolve().exists() or (workspace.folder / target).exists(), target


def result(id: str, ok: bool) -> Result:
    return Result(id, "", ok, "", "")


def test_a_check_that_passes_is_noted_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "WORK", tmp_path)
    workspace, progress = Workspace(tmp_path), Progress(tmp_path)
    monkeypatch.setattr(start_page, "Progress", lambda *_: progress)
    monkeypatch.setattr(start_page, "Workspace", lambda: workspace)
    start_page.record(Report([result("01.1", True), result("01.2", False)]))
    assert list(progress.passed()) == ["01.1"]
    assert "1 of 3 checks" in (tmp_path / start_page.NAME).read_text()
    (tmp_path / start_page.NAME).unlink()
    start_page.record(Report([result("01.1", True)]))
    assert not (tmp_path / start_page.NAME).exists(), "nothing new, nothing written"


def test_nobody_who_has_no_copies_is_recorded(tmp_path: Path) -> None:
    assert not Progress(tmp_path / "work").record(["01.1"])
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", "\udcff"])
def test_a_damaged_record_is_an_empty_one(tmp_path: Path, damage: str) -> None:
    (tmp_path / FILE).write_bytes(damage.encode(errors="surrogateescape"))
    assert Progress(tmp_path).passed() == {}
    assert Progress(tmp_path).record(["01.1"]) and list(Progress(tmp_path).passed()) == ["01.1"]
