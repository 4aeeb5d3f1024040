"""Codespaces: what its configuration names exists here."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from labs.cli import VERBS
from labs.clusters.backends import BACKENDS
from labs.config import ROOT, WORK
from labs.course.notebooks import all_notebooks
from labs.setup.tools import TOOLS


@pytest.fixture
def settings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    return found


@pytest.mark.parametrize("moment", ["onCreateCommand", "updateContentCommand", "postStartCommand"])
def test_its_commands_are_the_labs(settings: dict[str, Any], moment: str) -> None:
    program, verb, *words = shlex.split(settings[moment])
    assert (ROOT / program).exists() and verb in VERBS
    assert {word for word in words if not word.startswith("--")} <= {*TOOLS, *BACKENDS}


def test_what_it_opens_exists(settings: dict[str, Any]) -> None:
    """The learner's copies, which ``updateContentCommand`` makes; the editor opens nothing before it has ended."""
    copies = {f"{WORK.name}/{notebook.path.name}" for notebook in all_notebooks()}
    assert copies.issuperset(settings["customizations"]["codespaces"]["openFiles"])
    assert "update" in settings["updateContentCommand"] and settings["waitFor"] == "updateContentCommand"


def test_its_python_is_one_the_lab_runs_on(settings: dict[str, Any]) -> None:
    version = settings["image"].rpartition(":")[2].split("-")[1]
    assert tuple(map(int, version.split("."))) >= (3, 11)
