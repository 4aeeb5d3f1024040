"""The package without its checkout: all files of ``labs`` are in the wheel, and the ``lab`` command says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from labs.config import ROOT


def tracked(*paths: str) -> list[str]:
    """Files of the repository under these paths."""
    listed = subprocess.run(["git", "ls-files", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built apart from it: a build leaves folders beside its source."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the package is not known")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked("labs", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    words = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", f"--wheel-dir={target}", str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=300)
    (built,) = target.glob("*.whl")
    return built


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == set(tracked("labs"))


def test_the_licence_is_in_the_wheel(wheel: Path) -> None:
    (name,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("LICENSE")]
    assert zipfile.ZipFile(wheel).read(name) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize(("words", "code", "said"), [(["status"], 1, "./scripts/lab"), (["--help"], 0, "Commands")])
def test_an_installed_package_says_that_it_needs_a_checkout(
    wheel: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-m", "labs.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert not (tmp_path / "installed" / ".lab").exists()


def test_a_program_of_a_pod_runs_from_an_installed_package(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    command = [sys.executable, "-m", "labs.pods", "model-server", "--help"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
