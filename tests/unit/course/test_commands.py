"""What may take minutes happens before the first notebook, under a progress bar: a cell would run into its time limit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from labs import errors
from labs.clusters import backends
from labs.course import commands, notebooks, run


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    happened: list[str] = []
    backend = SimpleNamespace(name="embedded", prepare=lambda progress: happened.append("prepare"))
    monkeypatch.setattr(backends, "current", lambda: backend)

    def run_notebooks(*_: object, **__: object) -> list[object]:
        happened.append("notebooks")
        return []

    monkeypatch.setattr(run, "run_notebooks", run_notebooks)
    monkeypatch.setattr(run, "write_report", lambda *_, backend: happened.append(f"report of {backend}"))
    return happened


def test_run_prepares_first(happened: list[str]) -> None:
    assert CliRunner().invoke(commands.run, []).exit_code == 0
    assert happened == ["prepare", "notebooks", "report of embedded"]


def test_a_notebook_that_does_not_exist_is_refused_before_anything_is_compiled(
    happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notebooks.until("03")
    result = CliRunner().invoke(commands.run, ["--until", "47"])
    assert isinstance(result.exception, errors.NotFound)
    assert happened == []
