"""The learner's copies: without answers, kept up to date, and nothing of the learner's is lost."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from labs.course.notebooks import Notebook, all_notebooks
from labs.course.workspace import LAID_OUT, Workspace

NAME = "05-multicluster.ipynb"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def publish(folder: Path, *sources: str, outputs: bool = True) -> Notebook:
    """A published notebook with one executed code cell per source."""
    cells = [nbformat.v4.new_code_cell(source, id=f"cell{n}") for n, source in enumerate(sources)]
    for cell in cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="the answer\n")] if outputs else []
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / NAME)
    return Notebook(folder / NAME)


def edit(path: Path, source: str | None = None, *, run: bool = False) -> None:
    content = nbformat.read(path, as_version=4)
    if source is not None:
        content.cells[0].source = source
    if run:
        content.cells[0].outputs = [nbformat.v4.new_output("stream", text="mine\n")]
    nbformat.write(content, path)


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def test_every_notebook_is_copied_without_its_answers(workspace: Workspace) -> None:
    assert workspace.refresh() == []
    for notebook in all_notebooks():
        copy = nbformat.read(workspace.copy_of(notebook), as_version=4)
        assert [cell.source for cell in copy.cells] == [cell.source for cell in notebook.content.cells]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in copy.cells)
        assert [cell.metadata for cell in copy.cells] == [cell.metadata for cell in notebook.content.cells]


def test_what_did_not_change_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    notebook = publish(tmp_path / "published", "print(1)")
    workspace.refresh([notebook])
    edit(workspace.copy_of(notebook), "print('mine')", run=True)
    before = workspace.copy_of(notebook).read_bytes()
    assert workspace.refresh([notebook]) == []
    assert workspace.copy_of(notebook).read_bytes() == before


def test_a_fix_replaces_an_untouched_copy(workspace: Workspace, tmp_path: Path) -> None:
    workspace.refresh([publish(tmp_path / "published", "print(1)")])
    fixed = publish(tmp_path / "published", "print(2)")
    assert workspace.refresh([fixed]) == [f"{NAME}: updated"]
    assert sources(workspace.copy_of(fixed)) == ["print(2)"]
    assert [path.name for path in workspace.folder.glob("*.ipynb")] == [NAME]


@pytest.mark.parametrize(("source", "run"), [("print('mine')", False), (None, True)], ids=["changed", "run"])
def test_a_fix_keeps_what_the_learner_did(workspace: Workspace, tmp_path: Path, source: str | None, run: bool) -> None:
    workspace.refresh([publish(tmp_path / "published", "print(1)")])
    edit(workspace.folder / NAME, source, run=run)
    mine = (workspace.folder / NAME).read_bytes()
    fixed = publish(tmp_path / "published", "print(2)")
    assert workspace.refresh([fixed]) == [f"{NAME}: updated; yours is now 05-multicluster-mine.ipynb"]
    assert (workspace.folder / "05-multicluster-mine.ipynb").read_bytes() == mine
    assert sources(workspace.copy_of(fixed)) == ["print(2)"]


def test_a_second_fix_keeps_both(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(3):
        workspace.refresh([publish(tmp_path / "published", f"print({number})")])
        edit(workspace.folder / NAME, f"print('mine {number}')")
    kept = {path.name: sources(path) for path in workspace.folder.glob("*-mine*.ipynb")}
    assert kept == {"05-multicluster-mine.ipynb": ["print('mine 0')"], "05-multicluster-mine2.ipynb": ["print('mine 1')"]}


def test_new_outputs_alone_are_no_fix(workspace: Workspace, tmp_path: Path) -> None:
    notebook = publish(tmp_path / "published", "print(1)")
    workspace.refresh([notebook])
    assert workspace.refresh([publish(tmp_path / "published", "print(1)", outputs=False)]) == []


def test_a_learner_who_made_the_fix_already_keeps_the_file(workspace: Workspace, tmp_path: Path) -> None:
    workspace.refresh([publish(tmp_path / "published", "print(1)")])
    edit(workspace.folder / NAME, "print(2)", run=True)
    before = (workspace.folder / NAME).read_bytes()
    assert workspace.refresh([publish(tmp_path / "published", "print(2)")]) == []
    assert (workspace.folder / NAME).read_bytes() == before


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", "not a notebook"])
def test_a_copy_that_cannot_be_read_is_kept(workspace: Workspace, tmp_path: Path, damage: str) -> None:
    workspace.refresh([publish(tmp_path / "published", "print(1)")])
    (workspace.folder / NAME).write_text(damage)
    workspace.refresh([publish(tmp_path / "published", "print(2)")])
    assert (workspace.folder / "05-multicluster-mine.ipynb").read_text() == damage


def test_without_its_record_no_copy_is_lost(workspace: Workspace, tmp_path: Path) -> None:
    workspace.refresh([publish(tmp_path / "published", "print(1)")])
    (workspace.folder / LAID_OUT).write_text("{")
    fixed = publish(tmp_path / "published", "print(2)")
    assert workspace.refresh([fixed]) == [f"{NAME}: updated; yours is now 05-multicluster-mine.ipynb"]


def test_a_deleted_copy_comes_back(workspace: Workspace, tmp_path: Path) -> None:
    notebook = publish(tmp_path / "published", "print(1)")
    workspace.refresh([notebook])
    workspace.copy_of(notebook).unlink()
    assert workspace.refresh([notebook]) == []
    assert sources(workspace.copy_of(notebook)) == ["print(1)"]
