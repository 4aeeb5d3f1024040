"""A supervisor of layout 1 is found by the port that it holds, and only this checkout's is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labs import config
from labs.embedded import old_layout, ports
from labs.waiting import wait_until
from tests.support.network import free_port

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a process that holds the port of layout 1, in a lab of that layout."""
    port = free_port("127.0.0.1")
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    monkeypatch.setattr(old_layout, "HOST", "127.0.0.1")
    monkeypatch.setattr(old_layout, "PORT", port)
    (tmp_path / "control-token").write_text("secret")
    started: list[subprocess.Popen[bytes]] = []

    def run(module: str = "labs.embedded.supervisor", cwd: Path = config.ROOT) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", LISTEN, str(port), module], cwd=cwd))
        assert wait_until(lambda: not ports.is_free("127.0.0.1", port), 10)
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_this_checkouts_supervisor_ends(start: Start) -> None:
    process = start()
    old_layout.stop_supervisor()
    assert process.wait(10) == -15
    old_layout.stop_supervisor()


def test_another_checkouts_and_another_program_go_on(start: Start, tmp_path: Path) -> None:
    process = start(cwd=tmp_path)
    old_layout.stop_supervisor()
    assert process.poll() is None


def test_a_lab_of_this_layout_is_not_looked_at(start: Start, tmp_path: Path) -> None:
    process = start()
    (tmp_path / "control-token").unlink()
    old_layout.stop_supervisor()
    assert process.poll() is None
