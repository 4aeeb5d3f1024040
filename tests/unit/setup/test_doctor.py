"""The doctor: what is not well is told with its cure, and the exit code says so to programs."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from labs import cli
from labs.config import ROOT
from labs.paths import Paths
from labs.setup import doctor
from labs.setup.findings import Finding

WELL = doctor.Finding("Linux", True, "Linux x86_64", "use another machine")
ILL = doctor.Finding("3 GiB of free memory", False, "1.0 GiB", "close a browser")


@pytest.fixture
def lab_is_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))


def test_all_well_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "examine", lambda backend: [WELL])
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.run(["doctor"])
    assert capsys.readouterr().out == "✓ Linux: Linux x86_64\n", "no cure where nothing is wrong"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_one_that_is_not_well_is_exit_code_1_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda backend: [WELL, ILL])
    with pytest.raises(SystemExit, match=r"^1$"):
        cli.run(["doctor", *flags])
    out = capsys.readouterr().out
    if flags:
        assert [row["ok"] for row in json.loads(out)] == [True, False]
    else:
        assert out.splitlines()[1:] == ["✗ 3 GiB of free memory: 1.0 GiB", "    try: close a browser"]


def test_this_machine_is_examined_without_an_error() -> None:
    findings = doctor.examine("embedded")
    assert len({finding.name for finding in findings}) == len(findings) > 9
    assert all(finding.found for finding in findings)


@pytest.mark.parametrize(("limit", "ok"), [("max", True), (str(5 * doctor.GIB), True), (str(2 * doctor.GIB), False)])
def test_a_containers_limit_counts_and_what_it_uses_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, ok: bool
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{doctor.GIB}\n")
    monkeypatch.setattr(doctor, "CGROUP", tmp_path)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * doctor.GIB))
    found = doctor.memory()
    assert found.ok == ok and found.fix
    assert doctor.available_memory() == (8 if limit == "max" else int(limit) / doctor.GIB - 1)


def test_less_disk_is_needed_once_the_programs_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_disk", lambda: 4.0)
    monkeypatch.setattr(doctor, "_programs_are_built", lambda: False)
    assert not doctor.disk().ok and "XDG_CACHE_HOME" in doctor.disk().fix
    monkeypatch.setattr(doctor, "_programs_are_built", lambda: True)
    assert doctor.disk().ok


@pytest.mark.parametrize(("release", "ok"), [((3, 10, 14), False), ((3, 11, 0), True), ((3, 14, 1), True)])
def test_python_older_than_3_11(monkeypatch: pytest.MonkeyPatch, release: tuple[int, ...], ok: bool) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", release)
    assert doctor.python().ok == ok


def test_another_system_is_told_what_works_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "system", lambda: "Darwin")
    assert not doctor.system().ok and "Linux" in doctor.system().fix


def limit_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, held: int) -> Finding:
    path = tmp_path / "max_user_instances"
    path.write_text(f"{limit}\n")
    monkeypatch.setattr(doctor, "INOTIFY_LIMIT", path)
    monkeypatch.setattr(doctor, "inotify_instances", lambda: held)
    return doctor.inotify()


def test_too_few_inotify_instances(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab_is_down: None) -> None:
    assert limit_of(monkeypatch, tmp_path, 128, 20).ok
    finding = limit_of(monkeypatch, tmp_path, 128, 100)
    assert not finding.ok and finding.found == "28 free (100 of 128 in use)"
    assert finding.fix == "sudo sysctl fs.inotify.max_user_instances=512"


def test_a_lab_that_is_up_holds_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab_is_down: None) -> None:
    Paths.current().kubeconfig.touch()
    assert limit_of(monkeypatch, tmp_path, 128, 100).ok
    assert not limit_of(monkeypatch, tmp_path, 128, 128).ok


def test_a_system_without_inotify_has_no_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "INOTIFY_LIMIT", tmp_path / "none")
    assert doctor.inotify().ok


def test_instances_held_by_this_process_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "process_iter", lambda: [doctor.psutil.Process()])
    before = doctor.inotify_instances()
    handle = ctypes.CDLL(None, use_errno=True).inotify_init()
    if handle < 0:
        pytest.skip("this user has no inotify instance left")
    assert doctor.inotify_instances() == before + 1
    os.close(handle)
    assert doctor.inotify_instances() == before


def test_the_readme_asks_for_what_the_doctor_asks_for() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"{doctor.MEMORY_NEEDED:.0f} GiB of free memory and {doctor.DISK_NEEDED_TO_BUILD:.0f} GiB of free disk" in readme
