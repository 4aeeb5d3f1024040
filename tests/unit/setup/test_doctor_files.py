"""The doctor on folders and the clock; and what the verbs say where the machine itself is the reason."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labs import config, errors, steps
from labs.clusters.console import ConsoleProgress
from labs.paths import cache_dir
from labs.setup import doctor_files
from labs.setup.preload import front
from labs.wire import isolated, open_files


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache and state of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    return tmp_path


def test_a_fresh_machine_is_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    assert doctor_files.cache_folder().ok and doctor_files.ownership().ok and doctor_files.temporary_folder().ok


def test_a_cache_that_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    found = doctor_files.cache_folder()
    assert not found.ok and f"{home} cannot be written" in found.found and "XDG_CACHE_HOME" in found.fix


def test_a_notebook_shows_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert doctor_files.shown(Path("/home/somebody/.cache/lab")) == "~/.cache/lab"
    assert doctor_files.shown(Path("/home/somebody else")) == "/home/somebody else"


def test_what_sudo_left_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = cache_dir() / "programs"
    programs.mkdir(parents=True)
    real = Path.lstat

    def lstat(path: Path) -> object:
        return SimpleNamespace(st_uid=os.getuid() + 1) if path == programs else real(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    found = doctor_files.ownership()
    assert not found.ok and found.found == f"{programs} belong to another user"
    assert found.fix == f"sudo chown -R $(id -u) '{programs}'"


def test_a_temporary_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert not doctor_files.temporary_folder().ok
    (tmp_path / "with a space").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "with a space"))
    assert doctor_files.temporary_folder().ok


def test_a_clock_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_files.clock().ok
    monkeypatch.setattr(doctor_files.time, "time", lambda: 0.0)
    found = doctor_files.clock()
    assert not found.ok and "before this checkout's files were written" in found.found


def test_without_a_home_the_cache_is_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert cache_dir() == front.cache_dir() == config.ROOT / ".cache"


@pytest.mark.parametrize(
    ("number", "kind", "fix"),
    [
        (errno.ENOSPC, errors.DiskFull, "free some space"),
        (errno.EDQUOT, errors.DiskFull, "free some space"),
        (errno.EACCES, errors.MachineError, "belong to another user"),
        (errno.EROFS, errors.MachineError, "belong to another user"),
        (errno.EMFILE, errors.MachineError, "how many files"),
    ],
)
def test_a_step_that_the_machine_stops_says_so(number: int, kind: type[errors.MachineError], fix: str) -> None:
    def work(progress: steps.Progress) -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    with pytest.raises(kind, match="/some/file") as caught:
        steps.run_steps([steps.Action("Work", work)], ConsoleProgress())
    assert fix in caught.value.fix
    assert errors.of_this_machine(OSError(errno.ECONNREFUSED, "refused")) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_no_traceback() -> None:
    with Path("/dev/full").open("wb") as full:
        command = isolated.command("labs.cli", "--help")
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1 and "no space is left on the disk" in result.stderr and "Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    words = " ".join(f"'{word}'" for word in isolated.command("labs.cli", "fault", "show", "overload"))
    result = subprocess.run(["bash", "-c", f"{words} | true"], stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == ""


def test_a_low_soft_limit_is_raised_for_all_that_the_lab_starts() -> None:
    script = (
        "import resource, sys; from labs.wire import open_files;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard));"
        "open_files.raise_limit(); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=config.ROOT, capture_output=True, text=True, check=True).stdout
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    expected = open_files.ENOUGH if hard == resource.RLIM_INFINITY else min(hard, open_files.ENOUGH)
    assert said.split()[0] == str(expected)


def test_files_are_checked_out_as_linux_reads_them() -> None:
    """A script with CRLF is a program that does not exist to the kernel."""
    for name in ("scripts/lab", "scripts/test", "requirements.lock", "clusters/topology.toml"):
        command = ["git", "check-attr", "eol", name]
        said = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, check=True).stdout
        assert said.strip() == f"{name}: eol: lf"
