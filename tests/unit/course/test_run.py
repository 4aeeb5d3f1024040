"""Running notebooks headless: order, errors, outputs, the report."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from rich.console import Console

from labs.course import notebooks, report
from labs.course.catchup import notebooks_before, run_steps
from labs.course.execute import execute, save
from labs.course.mime import CHECK_MIME, WIDGET_MIME
from labs.course.run import run_notebooks, write_report
from labs.errors import NotFound
from tests.unit.course.conftest import MakeNotebook

CHECK = f"""from IPython.display import display
result = {{"id": "42.1", "expected": "e", "passed": True, "found": "f", "hint": ""}}
display({{"text/plain": "✓", "{CHECK_MIME}": [result]}}, raw=True)"""


def test_cells_run_in_order_and_share_a_kernel(make_notebook: MakeNotebook) -> None:
    seen: list[tuple[int, int]] = []
    outcome = execute(make_notebook("x = 41", "print(x + 1)"), lambda i, n: seen.append((i, n)))
    assert outcome.error == ""
    assert outcome.content.cells[2].outputs[0].text == "42\n"
    assert seen == [(0, 2), (1, 2)]


def test_an_error_stops_the_notebook_and_is_kept(make_notebook: MakeNotebook) -> None:
    outcome = execute(make_notebook("1 / 0", "print('never')"))
    assert "ZeroDivisionError" in outcome.error
    assert outcome.content.cells[2].outputs == []


def test_the_file_is_left_alone_until_it_is_saved(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook("print(1)")
    before = notebook.path.read_bytes()
    outcome = execute(notebook)
    assert notebook.path.read_bytes() == before
    save(outcome, notebook.path)
    saved = nbformat.read(notebook.path, as_version=4)
    assert saved.cells[1].execution_count == 1
    assert "execution" not in saved.cells[1].metadata


def test_of_a_widget_its_static_form_is_kept(make_notebook: MakeNotebook) -> None:
    show = f"""from IPython.display import display
display({{"text/html": "<b>static</b>", "text/plain": "static", "{WIDGET_MIME}": {{"model_id": "x"}}}}, raw=True)"""
    outcome = execute(make_notebook(show, "import ipywidgets\nipywidgets.IntSlider(5)"))
    assert set(outcome.content.cells[1].outputs[0].data) == {"text/html", "text/plain"}
    assert set(outcome.content.cells[2].outputs[0].data) == {"text/plain"}
    assert "widgets" not in outcome.content.metadata


def test_catching_up_runs_the_steps_and_nothing_else(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    notebook = make_notebook(f"open({str(touched)!r}, 'w')", "1 / 0", steps={0})
    assert run_steps(notebook, lambda i, n: None).error == ""
    assert touched.exists()


def test_a_run_stops_at_the_first_notebook_that_fails(make_notebook: MakeNotebook) -> None:
    bad, good = make_notebook("1 / 0", name="01-bad"), make_notebook("1", name="02-good")
    outcomes = run_notebooks([bad, good], Console(quiet=True), keep_outputs=False)
    assert [bool(outcome.error) for outcome in outcomes] == [True]


def test_the_report_counts_checks_and_names_what_stopped(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.course.run.REPORT", tmp_path / "report")
    (tmp_path / "report").mkdir()
    for left in ("leaderboard.jsonl", "41-older-run.ipynb"):
        (tmp_path / "report" / left).write_text("{}")
    outcomes = [execute(make_notebook(CHECK)), execute(make_notebook("1 / 0", name="43-bad", title="# 43 · Bad"))]
    write_report(outcomes, Console(quiet=True), backend="embedded")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "1 of 1 checks passed" in page
    assert "Stopped in notebook 43" in page
    assert "ZeroDivisionError" in page
    assert report.summary(outcomes)["failed"] == ["43"]
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert "leaderboard.jsonl" in names and "41-older-run.ipynb" not in names


def test_the_report_needs_no_network(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    page = report.write([execute(make_notebook(CHECK))], tmp_path, backend="embedded").read_text()
    for mark in ("<script", 'src="http', "@import", "url(http"):
        assert mark not in page


def test_finding_a_notebook() -> None:
    assert notebooks.find("5").path.name == "05-multicluster.ipynb"
    with pytest.raises(NotFound) as caught:
        notebooks.find("55")
    assert "05-multicluster" in caught.value.known


def test_until_and_before() -> None:
    assert [n.number for n in notebooks.until("02")] == ["00", "01", "02"]
    assert [n.number for n in notebooks_before("03")] == ["01", "02"]
