"""``lab down`` where ``.venv`` is missing or of another version: no network, no set-up, and nothing of the lab stays."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.config import ROOT
from labs.embedded import shared_memory
from labs.setup import teardown

SUPERVISOR = """
import signal, subprocess, sys, time
def stop(*_):
    child.terminate()
    child.wait()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
child = subprocess.Popen(["sleep", "300"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(300)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of what the launcher needs, whose supervisor is a stand-in; it has no ``.venv``."""
    place = tmp_path / "a checkout"
    for name in ("scripts/lab", "scripts/bootstrap.py", "requirements.lock", "pyproject.toml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    shutil.copytree(ROOT / "labs", place / "labs", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "labs" / "embedded" / "supervisor.py").write_text(SUPERVISOR)
    return place


@pytest.fixture
def lab(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An embedded lab that runs there."""
    (checkout / ".lab").mkdir()
    (checkout / ".lab" / "lab.json").write_text('{"layout": 2, "backend": "embedded", "clusters": []}')
    command = [sys.executable, "-I", str(checkout / "labs" / "wire" / "isolated.py"), teardown.SUPERVISOR]
    process = subprocess.Popen([*command, str(checkout / ".lab" / "child")], env=environment())
    deadline = time.monotonic() + 20
    while not (checkout / ".lab" / "child").exists() or not (checkout / ".lab" / "child").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def environment(**more: str) -> dict[str, str]:
    """Without a network: pip would fail at once."""
    inherited = {name: value for name, value in os.environ.items() if name != "LAB_STATE"}
    return inherited | {"LAB_PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/none"} | more


def launch(checkout: Path, verb: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "scripts" / "lab"), verb]
    return subprocess.run(command, cwd="/", env=environment(**more), capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("stale", [False, True])
def test_down_without_an_environment(checkout: Path, lab: subprocess.Popen[bytes], stale: bool, tmp_path: Path) -> None:
    if stale:  # its Python is gone: a link that leads nowhere
        (checkout / ".venv" / "bin").mkdir(parents=True)
        (checkout / ".venv" / "bin" / "python").symlink_to("/gone/python3")
    child = int((checkout / ".lab" / "child").read_text())
    result = launch(checkout, "down", XDG_CACHE_HOME=str(tmp_path))
    assert result.returncode == 0 and "removed" in result.stderr, result.stderr
    assert lab.wait(10) == 0 and not Path(f"/proc/{child}").exists()
    assert not (checkout / ".lab").exists()


def test_stop_without_an_environment_keeps_the_state(checkout: Path, lab: subprocess.Popen[bytes]) -> None:
    assert launch(checkout, "stop").stderr == "lab: stopped\n"
    assert lab.wait(10) == 0 and (checkout / ".lab" / "lab.json").exists()
    assert "no lab is up" in launch(checkout, "stop").stderr


def test_another_labs_processes_are_left_alone(checkout: Path, lab: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert teardown.supervisors(ROOT, ROOT / ".lab") == [] or lab.pid not in teardown.supervisors(ROOT, ROOT / ".lab")
    assert teardown.supervisors(checkout, checkout / ".lab") == [lab.pid]
    launch(checkout, "down", LAB_STATE=str(tmp_path / "second lab"))
    assert lab.poll() is None and (checkout / ".lab").exists()


def test_a_lab_in_containers_needs_the_environment(checkout: Path) -> None:
    (checkout / ".lab").mkdir()
    (checkout / ".lab" / "backend").write_text("kind")
    result = launch(checkout, "down")
    assert result.returncode == 1 and "setting up with Python" in result.stderr
    assert (checkout / ".lab" / "backend").exists()


@pytest.mark.parametrize(
    "name",
    [
        "labs/setup/teardown.py",
        "labs/paths.py",
        "labs/config.py",
        "labs/embedded/__init__.py",
        "labs/embedded/shared_memory.py",
        "labs/waiting.py",
        "labs/setup/pip_settings.py",
        "labs/wire/isolated.py",
        "labs/wire/run_folder.py",
        "scripts/bootstrap.py",
    ],
)
def test_the_launcher_needs_nothing_installed(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {
        *("labs.config", "labs.embedded", "labs.paths", "labs.setup", "labs.setup.preload"),
        *("labs.waiting", "labs.wire", "labs.wire.run_folder"),
    }
    assert {module.partition(".")[0] for module in modules - ours} <= sys.stdlib_module_names


def test_volumes_in_memory_of_killed_nodes_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "lab"))
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    shared_memory.make(shared_memory.folder("gpu-worker"))
    teardown.remove(tmp_path)
    assert list((tmp_path / "memory").iterdir()) == []
