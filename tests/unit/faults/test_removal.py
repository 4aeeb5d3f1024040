"""``lab down --cluster`` and ``lab node remove`` while a fault is active: refused, and nothing is removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labs import cli
from labs.clusters import backends
from labs.faults.catalogue import catalogue
from labs.faults.injectors import injector
from labs.journal import Journal
from labs.steps import Progress


@pytest.fixture
def removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the commands remove from a lab with the clusters app, gpu and gpu-eu; its journal is empty."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    found: list[str] = []

    def remove(cluster: str, node: str, progress: Progress) -> None:
        found.append(f"{cluster}/{node}")

    def down(clusters: Sequence[str] = ("everything",)) -> None:
        found.extend(clusters)

    nodes = SimpleNamespace(unsupported=lambda *_: None, remove=remove)
    backend: Any = SimpleNamespace(clusters=lambda: {"app": None, "gpu": None, "gpu-eu": None}, nodes=nodes, down=down)
    monkeypatch.setattr(backends, "current", lambda: backend)
    monkeypatch.setattr(backends, "to_remove", lambda: backend)
    monkeypatch.setattr("labs.faults.removal_commands.require_supported", lambda *_: None)
    return found


def begin(name: str, *, secret: bool = False, **parameters: object) -> None:
    Journal().begin(name, catalogue()[name].title, parameters, secret=secret)


def test_a_cluster_with_an_active_fault_stays(removed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    begin("gpu-overheat", gpu=1, node="gpu-worker")
    assert cli.run(["down", "--cluster", "gpu-eu", "--cluster", "gpu"]) == 2
    said = capsys.readouterr().err
    assert "gpu-overheat gpu=1 node=gpu-worker is active on cluster gpu, and could not be healed without it" in said
    assert "try: lab fault heal gpu-overheat, then the same command again" in said
    assert removed == []


def test_the_name_of_a_secret_fault_is_not_told(removed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    begin("gpu-overheat", secret=True, gpu=1, node="gpu-worker")
    assert cli.run(["down", "--cluster", "gpu"]) == 2
    said = capsys.readouterr().err
    assert "a mystery is active on cluster gpu" in said and "lab fault heal --all" in said and "overheat" not in said
    assert removed == []


def test_a_node_with_an_active_fault_stays(removed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    begin("gpu-overheat", gpu=1, node="gpu-worker3")
    assert cli.run(["node", "remove", "gpu-worker3", "--cluster", "gpu"]) == 2
    assert "is active on node gpu-worker3 of cluster gpu" in capsys.readouterr().err
    assert removed == []


def test_what_no_fault_is_active_on_is_removed(removed: list[str]) -> None:
    begin("gpu-overheat", gpu=1, node="gpu-worker")
    begin("gpu-xid79", gpu=1, node="gpu-worker3")
    Journal().end(Journal().active()[-1].id)
    assert cli.run(["down", "--cluster", "gpu-eu"]) == 0
    assert cli.run(["node", "remove", "gpu-worker3", "--cluster", "gpu"]) == 0
    assert removed == ["gpu-eu", "gpu/gpu-worker3"]


def test_the_whole_lab_goes_with_its_faults(removed: list[str]) -> None:
    begin("gpu-overheat", gpu=1, node="gpu-worker")
    assert cli.run(["down"]) == 0
    assert removed == ["everything"]


def test_every_fault_says_on_which_cluster_it_is() -> None:
    assert {injector(fault).cluster for fault in catalogue().values()} == {"app", "gpu"}
