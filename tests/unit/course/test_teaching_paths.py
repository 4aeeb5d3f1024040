"""Ways through the notebooks: the ones that are published, and what a mistake in the file says."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from rich.console import Console

from labs import config, errors
from labs.course import catchup, rehearsal
from labs.course.execute import Outcome
from labs.course.notebooks import Notebook, all_notebooks, is_step
from labs.course.teaching_paths import Stop, TeachingPath, all_paths, path

DEMO = """[demo]
audience = "a talk"
minutes = 10
[[demo.stops]]
notebook = "06"
minutes = 5
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "paths.toml").write_text(text)
    return tmp_path / "paths.toml"


def test_the_published_paths() -> None:
    paths = all_paths()
    assert {name: found.minutes for name, found in paths.items()} == {"demo": 20, "workshop": 90, "day": 360}
    assert [stop.notebook.number for stop in paths["day"].stops] == [notebook.number for notebook in all_notebooks()]
    for found in paths.values():
        assert found.audience
        for stop in found.stops:
            assert [cell for cell in stop.notebook.steps() if cell not in stop.cells()] == [], "a step is never left out"


def test_the_guide_names_every_path_with_its_minutes() -> None:
    guide = (config.ROOT / "docs" / "instructor-guide.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| (\d+) \|", guide, re.MULTILINE) == [
        (name, f"{found.minutes}") for name, found in all_paths().items()
    ]


def test_what_is_skipped_is_not_shown_and_the_rest_is_in_order() -> None:
    stop = path("demo").stops[1]
    text = "\n".join(cell.source for cell in stop.cells())
    assert "Step 4: the alternative" in text and "Step 5: a stolen token" not in text
    everything = stop.notebook.content.cells
    positions = [everything.index(cell) for cell in stop.cells()]
    assert positions == sorted(positions) and positions[0] == 0


def test_the_sections_of_a_notebook_are_all_of_its_cells() -> None:
    for notebook in all_notebooks():
        sections = notebook.sections()
        assert [cell for cells in sections.values() for cell in cells] == list(notebook.content.cells)
        assert "Exercise" in sections and sections[""][0].source.startswith("# ")


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(errors.NotFound, match=r"demo.*workshop|day"):
        path("lecture")


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ('"06"', '"47"', errors.NotFound, "no notebook"),
        ("minutes = 5", 'minutes = 5\nskip = ["Step 47"]', errors.NotFound, "no section of notebook 06 named 'Step 47'"),
        ("minutes = 5", 'minutes = 5\nskip = ["Step 2: deny by default"]', errors.UsageError, "which changes the clusters"),
        ("minutes = 5", "minutes = 15", errors.UsageError, "at most 10 minutes together; found 15"),
        ("minutes = 5", "minutes = 5\nskips = []", errors.UsageError, "found skips"),
        ("minutes = 5\n", 'minutes = 5\n[[demo.stops]]\nnotebook = "05"\nminutes = 1\n', errors.UsageError, "order"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, error: type[errors.LabError], says: str) -> None:
    assert all_paths(written(tmp_path, DEMO))
    with pytest.raises(error, match=says):
        all_paths(written(tmp_path, DEMO.replace(old, new)))


# The rehearsal


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the rehearsal executed: the number of a notebook whose steps were run, or of a stop with its number of cells."""
    executed: list[str] = []

    def run_steps(notebook: Notebook, _on_cell: Any) -> Outcome:
        executed.append(f"steps of {notebook.number}")
        return Outcome(notebook, notebook.content)

    def execute(notebook: Notebook, _on_cell: Any, *, cells: list[Any]) -> Outcome:
        executed.append(f"{notebook.number}: {len(cells)} cells")
        content = nbformat.v4.new_notebook(cells=cells)
        return Outcome(notebook, content, 100.0, "boom" if notebook.number == "99" else "", [40.0, 60.0])

    monkeypatch.setattr(catchup, "run_steps", run_steps)
    monkeypatch.setattr(rehearsal, "execute", execute)
    return executed


def stop(number: str, minutes: float = 5) -> Stop:
    return Stop(next(notebook for notebook in all_notebooks() if notebook.number == number), minutes)


def rehearsed(tmp_path: Path, *stops: Stop) -> tuple[list[rehearsal.Rehearsed], str]:
    found = TeachingPath("talk", 30, "a room", stops)
    console = Console(file=io.StringIO(), width=200)
    rows = rehearsal.rehearse(found, console, tmp_path)
    console.print(rehearsal.table(found, rows))
    assert isinstance(console.file, io.StringIO)
    return rows, console.file.getvalue()


def test_it_runs_the_steps_between_the_stops_and_records_each(executed: list[str], tmp_path: Path) -> None:
    rehearsed(tmp_path, stop("02"), stop("05"))
    cells = {number: len(stop(number).cells()) for number in ("02", "05")}
    between = ["steps of 03", "steps of 04"]
    assert executed == ["steps of 01", f"02: {cells['02']} cells", *between, f"05: {cells['05']} cells"]
    names = ["02-gpus.ipynb", "05-multicluster.ipynb"]
    assert sorted(file.name for file in (tmp_path / "talk").iterdir()) == names
    recorded = nbformat.read(tmp_path / "talk" / names[0], as_version=4)
    assert [cell.source for cell in recorded.cells] == [cell.source for cell in stop("02").cells()]


def test_a_stop_that_leaves_no_time_to_talk_is_named(executed: list[str], tmp_path: Path) -> None:
    rows, text = rehearsed(tmp_path, stop("02", minutes=5), stop("05", minutes=2))
    assert [row.verdict for row in rows] == ["✓", "✗ leaves less than 50% for talking"]
    assert "100 s" in text and "300 s" in text and "60 s" in text


def test_it_ends_with_the_first_stop_that_fails_and_keeps_its_recording(executed: list[str], tmp_path: Path) -> None:
    rows, text = rehearsed(tmp_path, stop("99"))
    assert rows[-1].outcome.error == "boom" and "✗ failed" in text
    assert (tmp_path / "talk" / "99-teardown.ipynb").exists()


def test_a_step_in_between_that_fails_is_an_error(executed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "run_steps", lambda notebook, on_cell: Outcome(notebook, notebook.content, 0.0, "no GPUs"))
    with pytest.raises(errors.LabError, match="a step of notebook 01 failed:\nno GPUs"):
        rehearsed(tmp_path, stop("05"))


def test_steps_are_tagged() -> None:
    assert any(is_step(cell) for cell in stop("05").cells())
