"""A lab's namespaces: made, joined, published, and gone without a trace, however their first process ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from labs import errors
from labs.embedded.namespaces import first, join, publish
from tests.support.waiting import eventually
from tests.unit.namespaces.conftest import needs_namespaces

pytestmark = needs_namespaces
MODULE = "labs.embedded.namespaces"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "a path with spaces"
    folder.mkdir()
    return folder / "first.json"


@pytest.fixture
def start(record: Path) -> Iterator[Start]:
    """Start a program in new namespaces and wait until they can be joined."""
    running: list[subprocess.Popen[str]] = []

    def begin(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"{MODULE}.first", str(record), *argv]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        eventually(lambda: record.exists() or process.poll() is not None)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def joined(record: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"{MODULE}.join", str(record), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_inside_is_another_network_with_loopback_and_low_ports(start: Start, record: Path) -> None:
    start("sleep", "60")
    links = joined(record, "cat", "/proc/net/dev").stdout
    assert [line.split(":")[0].strip() for line in links.splitlines()[2:]] == ["lo"]
    serve = (
        "import socket; s = socket.create_server(('127.0.0.1', 80)); print(socket.create_connection(s.getsockname()) and 'ok')"
    )
    assert joined(record, sys.executable, "-c", serve).stdout == "ok\n"


def test_the_program_has_our_rights_and_its_exit_code_is_passed_on(start: Start, record: Path) -> None:
    assert start("sh", "-c", "exit 7").wait(30) == 7
    assert not record.exists()
    assert start("sh", "-c", "kill -TERM $$").wait(30) == 128 + signal.SIGTERM


def test_who_joins_sees_the_labs_processes_and_stays_in_his_folder(start: Start, record: Path) -> None:
    start("sleep", "60")
    assert joined(record, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '").stdout.startswith(sys.executable)
    assert joined(record, "pwd").stdout.strip() == os.getcwd()
    assert joined(record, "sh", "-c", "exit 3").returncode == 3


def test_nothing_is_left_after_kill_9_of_either_process(start: Start, record: Path) -> None:
    for victim in ("outer", "inner"):
        # A daemon: its parent is gone, it ignores every signal that can be ignored.
        outer = start("sh", "-c", "setsid sh -c 'trap \"\" TERM INT HUP; sleep 61' & sleep 62")
        inner = join.holder(record)
        first_inside = psutil.Process(inner)
        everyone = eventually(partial(first_inside.children, recursive=True), holds=lambda all: len(all) >= 4)
        os.kill(outer.pid if victim == "outer" else inner, signal.SIGKILL)
        outer.wait(30)
        _, alive = psutil.wait_procs([first_inside, *everyone], timeout=10)
        assert not alive, f"after kill -9 of the {victim} process"
        with pytest.raises(errors.NotRunning):
            join.holder(record)  # whether the record is left or not, it names nobody
        record.unlink(missing_ok=True)


def test_a_number_that_another_process_has_by_now_is_no_lab(record: Path) -> None:
    record.write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    with pytest.raises(errors.NotRunning) as caught:
        join.holder(record)
    assert caught.value.fix == "lab up"
    record.write_text(json.dumps({"pid": os.getpid(), "started": first.started(os.getpid())}))
    assert join.holder(record) == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 0, "started": "1"}'])
def test_a_damaged_record_is_no_lab(record: Path, content: str) -> None:
    record.write_text(content)
    with pytest.raises(errors.NotRunning):
        join.holder(record)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_published_port_leads_inside_and_nothing_else_does(start: Start, record: Path, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("from inside")
    inside = free_port()
    start(sys.executable, "-m", "http.server", str(inside), "--bind", "127.0.0.1", "--directory", str(tmp_path))
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", inside))
    outside = free_port()
    command = [sys.executable, "-m", f"{MODULE}.publish", str(record), f"{outside}=127.0.0.1:{inside}"]
    relay = subprocess.Popen(command)
    try:
        eventually(lambda: answers(outside))
        with urllib.request.urlopen(f"http://127.0.0.1:{outside}/hello", timeout=10) as response:
            assert response.read() == b"from inside"
    finally:
        relay.kill()
        relay.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
        return True
    return False


def test_a_port_that_is_taken_is_refused_before_the_lab_is_entered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.AddressTaken, match=str(port)):
            publish.Publication(port, "127.0.0.1", 80).listen()


@pytest.mark.parametrize("text", ["", "80", "80=10.0.0.1", "x=10.0.0.1:80", "80=:80", "80=h:x"])
def test_what_is_no_publication_is_refused(text: str) -> None:
    with pytest.raises(errors.UsageError):
        publish.Publication.parse(text)
