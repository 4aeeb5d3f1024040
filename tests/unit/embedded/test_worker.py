"""The life of a pod up to its containers: taken one at a time, told about, and never stuck without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from labs.embedded.node import admission
from labs.embedded.node.model import Object, PodRecord
from labs.embedded.node.worker import PodWorker
from labs.wire.kube_api import ApiError
from tests.support.waiting import until
from tests.unit.embedded.fake_services import FakeEvents, FakeNodes, pod, services


class FakeApi(FakeNodes):
    """The part of the API server that a worker needs; keeps each pod's status as patched."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[str, Object] = {}
        self.outages = 0

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        if self.outages:
            self.outages -= 1
            raise ApiError(503, "ServiceUnavailable", "starting")
        return await super().get(resource, namespace, name)

    async def patch(self, resource: str, namespace: str, name: str, body: Object, **_: Any) -> Object:
        self.statuses[name] = body["status"]
        return {}

    async def delete(self, *_: Any) -> None:
        return None


class Node:
    """Workers of one node; their containers are never started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api, self.events = FakeApi(), FakeEvents()
        self.shared = services(api=self.api, events=self.events)
        self.workers: dict[str, PodWorker] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, **spec: Any) -> PodWorker:
        worker = PodWorker(self.shared, pod(name, **spec), self.folder / name, lambda: self.taken(name))
        self.workers[name] = worker
        self.tasks.append(asyncio.create_task(worker.run()))
        return worker

    def taken(self, but: str) -> list[PodRecord]:
        found = [(name, worker) for name, worker in self.workers.items() if worker.admitted and not worker.finished]
        return [worker.record for name, worker in found if name != but]

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events.seen]


@pytest_asyncio.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    async def forever(_: PodWorker) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PodWorker, "_run_containers", forever)
    found = Node(tmp_path)
    yield found
    for task in found.tasks:
        task.cancel()
    await asyncio.gather(*found.tasks, return_exceptions=True)


def with_port(port: int) -> list[Object]:
    return [{"name": "main", "image": "busybox:1", "ports": [{"containerPort": 80, "hostPort": port}]}]


async def test_of_two_pods_that_come_together_one_is_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for a device plugin while it is looked at; neither may count before it is taken, nor both be."""
    allocate: Callable[..., Any] = admission._allocate

    async def slowly(*arguments: Any) -> None:
        await asyncio.sleep(0.01)
        await allocate(*arguments)

    monkeypatch.setattr(admission, "_allocate", slowly)
    for name in ("a", "b", "c"):
        node.add(name, containers=with_port(8080))
    await until(lambda: len(node.api.statuses) == 3)
    phases = {name: status["phase"] for name, status in node.api.statuses.items()}
    assert sorted(phases.values()) == ["Failed", "Failed", "Pending"]
    assert node.reasons().count("NodePorts") == 2


async def test_admission_waits_for_the_api_server(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.embedded.node.worker.API_RETRY", 0.01)
    node.api.outages, node.api.labels = 2, {"disk": "ssd"}
    worker = node.add("late", nodeSelector={"disk": "ssd"})
    await until(lambda: worker.admitted)
    assert node.api.outages == 0


async def test_what_is_not_honoured_is_named_once_and_again_only_when_there_is_more(node: Node) -> None:
    worker = node.add("fields", hostAliases=[{"ip": "10.0.0.1"}])
    await until(lambda: worker.admitted and bool(node.events.seen))
    worker.update(worker.record.pod)
    later = pod("fields", hostAliases=[{"ip": "10.0.0.1"}], ephemeralContainers=[{"name": "debug", "image": "busybox:1"}])
    worker.update(later)
    worker.update(later)
    texts = [message for _, reason, message in node.events.seen if reason == "UnsupportedField"]
    assert len(texts) == 2
    assert "spec.hostAliases" in texts[0] and "ephemeralContainers" not in texts[0]
    assert "spec.ephemeralContainers" in texts[1] and "hostAliases" not in texts[1]


async def test_a_bug_of_ours_is_an_event_and_the_pod_can_be_deleted(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: PodWorker) -> None:
        raise KeyError("a field that nobody thought of")

    monkeypatch.setattr(PodWorker, "_run_containers", broken)
    worker = node.add("unlucky")
    await until(lambda: "FailedSync" in node.reasons())
    assert "KeyError: 'a field that nobody thought of'" in node.events.seen[-1][2]
    worker.removed()
    await asyncio.wait_for(node.tasks[0], 10)


async def test_a_deadline_may_come_later(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.embedded.node.worker.SANDBOX_STOPPED_AFTER", 0.0)
    worker = node.add("deadline")
    await until(lambda: worker.admitted)
    worker.update(pod("deadline", activeDeadlineSeconds=3600))
    worker.update(pod("deadline", activeDeadlineSeconds=1))
    await until(lambda: node.api.statuses["deadline"].get("reason") == "DeadlineExceeded")
    assert worker.finished


async def test_a_gate_that_somebody_opens_shows_at_once(node: Node) -> None:
    gates = [{"conditionType": "example.com/ok"}]
    worker = node.add("gate", readinessGates=gates)
    await until(lambda: worker.admitted)
    main = worker.record.containers["main"]
    main.state, main.ready, main.started, main.container_id = {"running": {"startedAt": "x"}}, True, True, "process://1"
    cast(Any, worker)._publisher.advance(has_sandbox=True)

    def ready() -> str:
        rows = node.api.statuses.get("gate", {}).get("conditions", [])
        return next((row["status"] for row in rows if row["type"] == "Ready"), "")

    for value in ("True", "False"):
        newer = pod("gate", readinessGates=gates)
        newer["status"]["conditions"] = [{"type": "example.com/ok", "status": value}]
        worker.update(newer)
        await until(lambda value=value: ready() == value)  # type: ignore[misc]
