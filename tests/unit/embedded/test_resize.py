"""In-place resize: granted when it fits, deferred with the reason when it does not, and granted later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from labs.embedded.node import resize
from labs.embedded.node.context import PodContext, Services
from labs.embedded.node.model import PodRecord
from labs.embedded.node.resize import Resizer
from tests.support.waiting import until
from tests.unit.embedded.fake_services import context, record, services


class FakeRunner:
    def __init__(self) -> None:
        self.restarts: list[str] = []

    def restart(self, message: str) -> None:
        self.restarts.append(message)


def container(cpu: str, **changes: Any) -> dict[str, Any]:
    return {"name": "main", "image": "busybox:1", "resources": {"requests": {"cpu": cpu}}} | changes


class Node:
    """One pod that may be resized, beside others."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *others: PodRecord, **changes: Any) -> None:
        monkeypatch.setattr(resize, "ACTUATION_SHOWN", 0.01)
        monkeypatch.setattr(resize, "DEFERRED_RETRY", 0.01)
        self.shared: Services = services()
        self.pod: PodContext = context(folder, self.shared, containers=[container("100m", **changes)])
        self.runner, self.others = FakeRunner(), list(others)
        self.resizer = Resizer(self.pod, cast(Any, {"main": self.runner}), lambda: self.others)

    @property
    def events(self) -> list[tuple[str, str, str]]:
        seen: list[tuple[str, str, str]] = cast(Any, self.shared.events).seen
        return seen

    @property
    def granted(self) -> str:
        cpu: str = self.pod.record.containers["main"].allocated["requests"]["cpu"]
        return cpu

    def ask(self, cpu: str) -> None:
        main = self.pod.record.containers["main"]
        main.spec = self.pod.record.pod["spec"]["containers"][0] = main.spec | {"resources": {"requests": {"cpu": cpu}}}
        self.resizer.consider()


async def test_what_fits_is_granted_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, monkeypatch)
    running = asyncio.create_task(node.resizer.run())
    node.ask("150m")
    await until(lambda: len(node.events) == 2)
    running.cancel()
    assert node.granted == "150m"
    assert node.pod.record.resizing == {}
    resources = '{"containers":[{"name":"main","resources":{"requests":{"cpu":"150m"}}}],"generation":1}'
    assert node.events == [
        ("Normal", "ResizeStarted", f"Pod resize started: {resources}"),
        ("Normal", "ResizeCompleted", f"Pod resize completed: {resources}"),
    ]
    assert node.runner.restarts == []


async def test_another_spelling_is_no_resize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, monkeypatch)
    running = asyncio.create_task(node.resizer.run())
    node.ask("0.1")
    node.ask("200m")
    await until(lambda: len(node.events) == 2)
    running.cancel()
    assert "200m" in node.events[0][2]


async def test_what_does_not_fit_waits_until_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = record(tmp_path / "other", name="other", containers=[container("3")])
    node = Node(tmp_path, monkeypatch, other)
    running = asyncio.create_task(node.resizer.run())
    node.ask("2")
    await until(lambda: bool(node.pod.record.resizing))
    why = "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
    assert node.pod.record.resizing == {"PodResizePending": ("Deferred", why)}
    assert node.granted == "100m"
    await asyncio.sleep(0.05)
    assert [event[1] for event in node.events] == ["ResizeDeferred"], "said once, however often it is tried"
    node.others.clear()
    await until(lambda: len(node.events) == 3)
    running.cancel()
    assert (node.granted, node.pod.record.resizing) == ("2", {})


async def test_a_wish_that_is_taken_back_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(tmp_path, monkeypatch)
    running = asyncio.create_task(node.resizer.run())
    node.ask("9")
    await until(lambda: bool(node.pod.record.resizing))
    node.ask("100m")
    await until(lambda: not node.pod.record.resizing)
    running.cancel()
    assert node.granted == "100m"


@pytest.mark.parametrize(("policy", "restarts"), [("NotRequired", 0), ("RestartContainer", 1)])
async def test_the_policy_says_whether_the_container_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, restarts: int
) -> None:
    node = Node(tmp_path, monkeypatch, resizePolicy=[{"resourceName": "cpu", "restartPolicy": policy}])
    running = asyncio.create_task(node.resizer.run())
    node.ask("150m")
    await until(lambda: len(node.events) == 2)
    running.cancel()
    assert node.runner.restarts == ["Container main resize requires restart"] * restarts
