"""A supervised child whose program cannot be started, dies, or ends for good."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from labs.embedded import child
from labs.embedded.child import Child, ChildSpec
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "FIRST_BACKOFF", 0.02)


def make(folder: Path, *argv: str, once: bool = False) -> Child:
    return Child(ChildSpec("it", list(argv), once=once), folder / "log", lambda: None)


async def stopped(one: Child, running: asyncio.Task[None]) -> None:
    await one.stop()
    await asyncio.wait_for(running, 5)
    assert one.state == "stopped"


async def test_a_program_missing_for_a_moment(tmp_path: Path) -> None:
    program = tmp_path / "program"
    one = make(tmp_path, str(program))
    running = asyncio.create_task(one.run([]))
    await until(lambda: one.restarts >= 2)
    assert one.state in ("backing-off", "starting")
    assert (one.last_exit or "").startswith("could not start: ") and str(program) in (one.last_exit or "")
    draft = tmp_path / "draft"
    draft.write_text("#!/bin/sh\nexec sleep 60\n")
    draft.chmod(0o700)
    draft.rename(program)
    await until(lambda: one.state == "running" and one.pid is not None)
    await stopped(one, running)


async def test_a_child_that_dies_comes_back_and_says_how_it_ended(tmp_path: Path) -> None:
    one = make(tmp_path, "sleep", "60")
    running = asyncio.create_task(one.run([]))
    await until(lambda: one.state == "running")
    first = one.pid
    one.signal(9)
    await until(lambda: one.state == "running" and one.pid not in (None, first))
    assert (one.restarts, one.last_exit) == (1, "killed by SIGKILL")
    await stopped(one, running)


async def test_one_that_runs_once_is_tried_again_only_after_a_failure(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    one = make(tmp_path, "sh", "-c", f"test -e '{mark}' || {{ touch '{mark}'; exit 3; }}", once=True)
    await asyncio.wait_for(one.run([]), 10)
    assert (one.state, one.restarts, one.last_exit) == ("done", 1, "exit code 0")
