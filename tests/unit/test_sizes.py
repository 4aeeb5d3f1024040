"""No module is longer than a reader's patience: 400 lines, tests included."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labs.config import ROOT

LONGEST = 400
FOR_NOW: set[str] = set()
"""Longer ones, to be split. Only take names out."""


def too_long(root: Path, names: list[str]) -> set[str]:
    """The modules among ``names`` that are longer; what a program generated does not count."""
    written = [name for name in names if name.endswith(".py") and "_pb2" not in name and (root / name).is_file()]
    return {name for name in written if len((root / name).read_text().splitlines()) > LONGEST}


def test_modules_are_short() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the project is not known")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert too_long(ROOT, listed.stdout.splitlines()) - FOR_NOW == set()


def test_a_long_module_is_seen(tmp_path: Path) -> None:
    for name, lines in (("short.py", LONGEST), ("long.py", LONGEST + 1), ("made_pb2.py", 999), ("long.md", 999)):
        (tmp_path / name).write_text("x\n" * lines)
    assert too_long(tmp_path, [*(path.name for path in tmp_path.iterdir()), "gone.py"]) == {"long.py"}
