"""What may take minutes happens before the first notebook, under a progress bar: a cell would run into its time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from labs import errors
from labs.clusters import backends
from labs.course import catchup, commands, notebooks, run


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
    monkeypatch.setattr(catchup, "notebooks_before", lambda number: [])
    return happened


def test_run_prepares_first(happened: list[str]) -> None:
    assert CliRunner().invoke(commands.run, []).exit_code == 0
    assert happened == ["prepare", "notebooks", "report of embedded"]


def test_goto_prepares_first(happened: list[str]) -> None:
    assert CliRunner().invoke(commands.goto, ["03"]).exit_code == 0
    assert happened == ["prepare", "notebooks"]


def test_a_notebook_that_does_not_exist_is_refused_before_anything_is_compiled(
    happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notebooks.until("03")
    result = CliRunner().invoke(commands.run, ["--until", "47"])
    assert isinstance(result.exception, errors.NotFound)
    assert happened == []


def test_jupyterlab_is_set_up_for_a_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked of JupyterLab itself, in a process of its own: it reads its paths when it is imported."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))  # no lab: one that is stopped would be resumed
    started: dict[str, Any] = {}
    monkeypatch.setattr(os, "execvpe", lambda program, argv, env: started.update(argv=argv, env=env))
    monkeypatch.setattr(backends, "current", lambda: SimpleNamespace(prepare=lambda progress: None))
    assert CliRunner().invoke(commands.start, ["--no-browser"]).exit_code == 0
    assert "--ServerApp.ip=127.0.0.1" in started["argv"]
    assert not any("token" in word or "password" in word for word in started["argv"])
    program = (
        "import json; from jupyterlab_server.config import get_page_config;"
        "from jupyterlab_server.settings_utils import _get_overrides;"
        "print(json.dumps([get_page_config([])['disabledExtensions'], _get_overrides('/nowhere')[0]]))"
    )
    said = subprocess.run([sys.executable, "-c", program], env=started["env"], capture_output=True, text=True, check=True).stdout
    disabled, overrides = json.loads(said)
    assert "@jupyterlab/apputils-extension:announcements" in disabled
    assert overrides["@jupyterlab/notebook-extension:tracker"]["codeCellConfig"]["lineWrap"]
