"""The set-up before there is an environment: which Python, one at a time, what it says when something is missing."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from labs.config import ROOT

STAND_IN = """#!/bin/sh
[ "$1" = -V ] && echo "Python {version}" && exit 0
[ "$1" = -I ] && [ "$2" = -c ] && exit {code}
printf '<%s>' "$@"
"""


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/bootstrap.py, at work in an empty checkout."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    monkeypatch.setattr(module, "ROOT", checkout)
    monkeypatch.setattr(module, "LOCK", checkout / "requirements.lock")
    monkeypatch.setattr(module, "VENV", checkout / ".venv")
    monkeypatch.setattr(module, "PYTHON", checkout / ".venv" / "bin" / "python")
    monkeypatch.setattr(module, "STAMP", checkout / ".venv" / ".boring-ops-lab")
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    monkeypatch.setattr(module.pip_settings, "environment", lambda python: dict(os.environ))
    return module


def stand_in(path: Path, version: str, code: int) -> Path:
    """A ``python`` of this version: ``code`` 1 if it is too old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STAND_IN.format(version=version, code=code))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def launch(script: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "LAB_PYTHON"}
    return subprocess.run([script, *args], cwd="/", env=inherited | environment, capture_output=True, text=True, check=False)


def test_an_old_python_is_refused_with_what_to_type(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "old python" / "python3", "3.10.13", 1)
    result = launch(ROOT / "scripts" / "lab", "up", LAB_PYTHON=str(old))
    assert result.returncode == 1
    assert f"expected Python 3.11 or newer; found: Python 3.10.13 ({old})" in result.stderr
    assert "LAB_PYTHON=/path/to/python3.12" in result.stderr


def test_a_newer_python_behind_an_old_one_is_found(tmp_path: Path) -> None:
    stand_in(tmp_path / "python3", "3.9.2", 1)
    stand_in(tmp_path / "python3.12", "3.12.1", 0)
    result = launch(ROOT / "scripts" / "lab", "up", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert result.stdout == f"<-I><{ROOT / 'scripts' / 'bootstrap.py'}><up>"


def test_any_directory_spaces_and_links(tmp_path: Path) -> None:
    scripts = tmp_path / "a b" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "lab", scripts)
    link = tmp_path / "lab"
    link.symlink_to(scripts / "lab")
    python = str(stand_in(tmp_path / "c d" / "python", "3.11.0", 0))
    for script in (scripts / "lab", link):
        result = launch(script, "check", "a b", "", LAB_PYTHON=python)
        assert result.stdout == f"<-I><{scripts}/bootstrap.py><check><a b><>"


def test_fingerprint_follows_pins_and_commands_only(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bootstrap.fingerprint()
    pyproject = bootstrap.ROOT / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "\n[tool.other]\nx = 1\n")
    monkeypatch.setattr(sys, "version", "3.99")
    assert bootstrap.fingerprint() == before
    pyproject.write_text(pyproject.read_text().replace('lab = "labs.entry:main"', 'lab2 = "labs.entry:main"'))
    renamed = bootstrap.fingerprint()
    bootstrap.LOCK.write_text(bootstrap.LOCK.read_text() + "one-more==1.0\n")
    assert len({before, renamed, bootstrap.fingerprint()}) == 3


def test_current_only_when_stamped_and_whole(bootstrap: ModuleType) -> None:
    assert not bootstrap.is_current()
    stand_in(bootstrap.PYTHON, "3.11.0", 0)
    assert not bootstrap.is_current(), "an interrupted set-up has no stamp"
    bootstrap.STAMP.write_text(bootstrap.fingerprint())
    assert bootstrap.is_current()
    bootstrap.PYTHON.unlink()
    assert not bootstrap.is_current()


def test_progress_names_the_package(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script = "import time; print('Collecting numpy==2.0', flush=True); time.sleep(0.3)"
    bootstrap.run("installing", [sys.executable, "-c", script], os.environ)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "lab: installing …"
    assert any(line.endswith(", numpy==2.0") for line in lines[1:])
    assert not (bootstrap.ROOT / ".venv.log").exists()


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("Could not connect", "check the network"),
        ("ensurepip is not available", "python3-venv"),
        ("OSError: [Errno 28] No space left on device", "free some space"),
        ("THESE PACKAGES do not match the hashes", "another index or mirror"),
    ],
)
def test_a_failed_step_shows_its_words_and_what_to_type(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str], said: str, fix: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        bootstrap.run("installing", [sys.executable, "-c", f"import sys; print({said!r}); sys.exit(3)"], os.environ)
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert "installing: failed with exit code 3" in shown and said in shown
    assert fix in shown


def test_a_full_disk_says_how_much_is_needed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "NEED_BYTES", 10**18)
    with pytest.raises(SystemExit):
        bootstrap.require_room()
    assert "expected 1000000000.0 GB of free disk" in capsys.readouterr().err


def test_somebody_elses_environment_is_not_cleared(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "their environment"
    theirs.mkdir()
    bootstrap.VENV.symlink_to(theirs)
    steps: list[str] = []

    def run(what: str, command: list[str], environment: dict[str, str]) -> None:
        assert not bootstrap.VENV.is_symlink()
        bootstrap.VENV.mkdir(exist_ok=True)
        steps.append(what)

    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.make_environment()
    assert steps[0] == "making .venv" and theirs.exists()
    assert not (theirs / ".boring-ops-lab").exists()


def test_the_second_waits_for_the_first_and_says_so(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with (bootstrap.ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        threading.Timer(0.2, lambda: fcntl.flock(handle, fcntl.LOCK_UN)).start()
        with bootstrap.only_one():
            pass
    assert capsys.readouterr().err.count("waiting for it") >= 2


def test_packages_that_a_bundle_brought_are_installed_without_a_network(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "run", lambda what, command, environment: commands.append(command))
    monkeypatch.setattr(bootstrap, "fingerprint", lambda: "new")
    bootstrap.VENV.mkdir()
    bootstrap.make_environment()
    assert not any("--no-index" in command for command in commands)
    wheels = bootstrap.front.wheel_folder()
    wheels.mkdir(parents=True)
    bootstrap.make_environment()
    assert all(f"--no-index --find-links {wheels}" in " ".join(command) for command in commands[-2:])


def test_a_first_load_takes_its_packages_from_the_bundle_and_a_bad_one_says_so(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundle = tmp_path / "lab.tar.zst"
    bundle.write_bytes(b"something else")
    bootstrap.take_packages_from(str(bundle))
    assert "expected a bundle made by 'lab preload save'" in capsys.readouterr().err
