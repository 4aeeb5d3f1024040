"""The supervisor and its client: children come and go with the record, and other labs on the same network are found."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from labs.embedded import bringup, control
from labs.embedded.child import ChildSpec
from labs.embedded.supervisor import Supervisor
from labs.errors import LabError, NotRunning, OtherLabRunning, TimedOut
from labs.paths import Paths
from labs.waiting import async_attempts

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


class Specs:
    """The children that the record asks for at this moment."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.error: LabError | None = None

    def __call__(self) -> list[ChildSpec]:
        if self.error:
            raise self.error
        return [ChildSpec(name, SLEEP, stop_order=number) for number, name in enumerate(self.names)]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / ".lab"))
    Paths.current().logs.mkdir(parents=True)
    # The path of a socket is short, unlike those that pytest makes.
    with tempfile.TemporaryDirectory(prefix="lab-") as cache:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        yield tmp_path / ".lab"


@pytest.fixture
async def specs(state: Path) -> AsyncIterator[Specs]:
    """What a running supervisor is told to run: ``etcd`` and ``app``."""
    found = Specs("etcd", "app")
    running = asyncio.create_task(Supervisor(found).run())
    await until_running("etcd", "app")
    yield found
    await asyncio.to_thread(control.stop)
    await asyncio.wait_for(running, 20)


async def children() -> dict[str, int | None]:
    rows = (await asyncio.to_thread(control.status))["children"]
    return {row["name"]: row["pid"] for row in rows}


async def until_running(*names: str) -> dict[str, int | None]:
    async for _ in async_attempts(20):
        if await asyncio.to_thread(control.identity) and list(found := await children()) == list(names) and all(found.values()):
            return found
    raise AssertionError(f"{names} do not run")


async def test_a_reload_starts_what_is_new_and_ends_what_is_gone_and_nothing_else(specs: Specs) -> None:
    before = await until_running("etcd", "app")
    specs.names = ["etcd", "gpu", "app"]
    await asyncio.to_thread(control.reload)
    grown = await until_running("etcd", "gpu", "app")
    assert {name: grown[name] for name in before} == before
    specs.names = ["etcd", "app"]
    await asyncio.to_thread(control.reload)
    assert await children() == before
    assert not psutil.pid_exists(int(grown["gpu"] or 0))


async def test_a_record_that_cannot_be_read_changes_nothing(specs: Specs) -> None:
    before = await until_running("etcd", "app")
    specs.error = LabError("the record is damaged", fix="lab down")
    with pytest.raises(LabError, match="the record is damaged"):
        await asyncio.to_thread(control.reload)
    assert await children() == before


async def test_an_unknown_child_is_told(specs: Specs) -> None:
    with pytest.raises(LabError, match="no process named 'gpu'; there are: app, etcd"):
        await asyncio.to_thread(control.kill, "gpu")


async def test_only_the_owner_may_open_the_folder_of_the_socket(specs: Specs) -> None:
    assert control.socket_path().parent.stat().st_mode & 0o777 == 0o700


async def test_another_checkout_on_the_same_network_is_refused(
    specs: Specs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(control.refuse_other)
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "my second lab"))
    for ask in (control.refuse_other, control.require):
        with pytest.raises(OtherLabRunning, match="the lab of another checkout runs on this machine"):
            await asyncio.to_thread(ask)
    monkeypatch.setattr(control, "network", lambda: -1)
    # Labs that do not share a network share no address either.
    await asyncio.to_thread(control.refuse_other)
    with pytest.raises(NotRunning):
        await asyncio.to_thread(control.require)
    monkeypatch.setenv("LAB_STATE", str(tmp_path / ".lab"))


def test_a_socket_that_nobody_serves_is_no_lab(state: Path) -> None:
    control.socket_path().parent.mkdir(parents=True)
    control.socket_path().touch()
    assert control.identity() is None


@pytest.fixture
def silent(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A supervisor that listens and never answers: this process."""
    monkeypatch.setattr(control, "REQUEST_TIMEOUT", 0.1)
    control.socket_path().parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(control.socket_path()))
        listening.listen()
        yield listening


@pytest.mark.parametrize("ask", [control.identity, control.require, control.status, control.stop, control.reload])
def test_a_supervisor_that_does_not_answer_is_told_with_what_to_type(silent: socket.socket, ask: Callable[[], object]) -> None:
    with pytest.raises(TimedOut, match=r"expected the supervisor .* within 0.1 s; found no answer") as caught:
        ask()
    assert f"process {os.getpid()}" in caught.value.message
    assert caught.value.fix.startswith("lab status; lab logs supervisor; if it stays so: kill -9")


def test_a_request_that_takes_long_is_no_traceback_either(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "require", lambda: None)
    with pytest.raises(TimedOut, match="POST /children/kill"):
        control.kill("app/node")


def test_one_that_does_not_answer_is_not_taken_for_one_that_is_gone(silent: socket.socket) -> None:
    """``lab down`` would then remove the state below running processes."""
    with pytest.raises(TimedOut):
        bringup.stop_supervisor()


def test_another_lab_that_does_not_answer_keeps_nobody(
    silent: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "my second lab"))
    control.refuse_other()
    with pytest.raises(NotRunning):
        control.require()


def test_a_supervisor_that_ends_while_it_is_asked_is_told(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT", 10.0)
    monkeypatch.setattr(control, "require", lambda: None)
    ending = threading.Thread(target=lambda: silent.accept()[0].close())
    ending.start()
    with pytest.raises(NotRunning, match="expected the supervisor to answer GET /children; found that it has ended"):
        control.status()
    ending.join()
