"""The fake machine, and each of the backends that make clusters on it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from labs import kubectl
from labs.clusters.docker.backend import DockerBackend
from labs.clusters.docker.tool import K3D, KIND
from tests.unit.clusters.fake_machine import START, Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    tools = tmp_path / "tools with space"
    tools.mkdir()
    for name in ("docker", "kind", "k3d", "kubectl"):
        # Imported, so compiled once; without site-packages: some tests run a hundred of these. A shell, as paths may have spaces.
        words = ["exec", sys.executable, "-IS", "-c", START, str(tools / name)]
        (tools / name).write_text(f'#!/bin/sh\n{shlex.join(words)} "$@"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), "/usr/bin", "/bin"]))
    monkeypatch.setenv("FAKE_TOOLS", str(tmp_path / "engine.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path / ".lab"))
    monkeypatch.setattr(kubectl, "program", lambda: str(tools / "kubectl"))
    return Machine(tmp_path / "engine.json")


@pytest.fixture(params=[KIND, K3D], ids=["kind", "k3d"])
def backend(request: pytest.FixtureRequest) -> DockerBackend:
    return DockerBackend(request.param)
