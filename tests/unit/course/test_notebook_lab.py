"""Opening the lab in a notebook: cells get their environment; what an interrupted kernel left is undone in one visible step."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labs.clusters import backends
from labs.clusters.base import Cluster
from labs.clusters.embedded import Embedded
from labs.course import notebook_lab
from labs.course.notebook_lab import NotebookLab, open_lab, set_environment
from labs.errors import NotRunning
from labs.journal import Journal
from labs.paths import Paths


class FakeBackend:
    """Two clusters that are names only."""

    name = "fake"
    can = Embedded.can

    def clusters(self) -> dict[str, Cluster]:
        return {name: Cluster(name) for name in ("app", "gpu")}

    def status(self) -> dict[str, Any]:
        return {}

    def api_server(self, cluster: str) -> str:
        return f"https://{cluster}.test:6443"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A lab that is up, as far as its files tell; the environment is put back afterwards."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    for name in ("KUBECONFIG", "LAB_MANIFESTS", "LAB_CERTIFICATES", "LAB_GPU_API_SERVER"):
        monkeypatch.setenv(name, "another's")
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", str(tmp_path / "bin")]))
    monkeypatch.setattr(backends, "current", FakeBackend)
    monkeypatch.setattr(Cluster, "api", None)
    monkeypatch.setattr(notebook_lab, "stop_orphans", lambda api: [])
    paths = Paths(tmp_path)
    paths.kubeconfig.touch()
    return paths


def test_cells_get_kubeconfig_tools_and_manifests(state: Paths) -> None:
    backend: Any = FakeBackend()
    set_environment(NotebookLab(backend))
    assert os.environ["PATH"].split(os.pathsep) == [str(state.bin), "/usr/bin"]
    assert os.environ["KUBECONFIG"] == str(state.kubeconfig)
    assert os.environ["LAB_MANIFESTS"] == str(state.manifests)
    assert os.environ["LAB_CERTIFICATES"] == str(state.certificates)
    assert os.environ["LAB_GPU_API_SERVER"] == "https://gpu.test:6443"


def test_without_a_lab_it_says_how_to_get_one(state: Paths) -> None:
    state.kubeconfig.unlink()
    with pytest.raises(NotRunning, match="lab up"):
        open_lab()
    assert os.environ["KUBECONFIG"] == "another's"


def test_a_first_opening_installs_linkerd_and_says_so_and_a_second_says_nothing(
    state: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    open_lab()
    assert capsys.readouterr().out.startswith("Recover: installed linkerd (stand-in")
    open_lab()
    assert capsys.readouterr().out == ""


def test_what_a_dead_kernel_left_is_undone_and_named(
    state: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    healed: list[str] = []
    how: Any = SimpleNamespace(heal=lambda session, parameters, saved: healed.append(parameters["gpu"]))
    monkeypatch.setattr("labs.faults.lifecycle.injector", lambda fault: how)
    monkeypatch.setattr(notebook_lab, "stop_orphans", lambda api: ["load-7"])
    gone = subprocess.Popen(["true"])
    gone.wait()
    journal = Journal()
    left_by(gone.pid, monkeypatch, lambda: journal.begin("gpu-overheat", "A GPU overheats", {"gpu": "2"}, owned=True))
    open_lab()
    told = capsys.readouterr().out.splitlines()
    assert "Recover: healed A GPU overheats (gpu=2)" in told and "Recover: stopped the load load-7" in told
    assert healed == ["2"] and not journal.active()


def left_by(pid: int, monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object]) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("labs.process_owner.this_process", lambda: (pid, 1.0))
        begin()
