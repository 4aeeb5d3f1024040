"""What the API server has of a pod's conditions is put right when somebody else wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from labs.embedded.node.model import Object
from labs.embedded.node.status_writer import StatusWriter
from labs.wire.kube_api import KubeApi


class FakeApi:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written: list[Object] = []

    async def patch(self, *_: Any, **__: Any) -> None:
        self.written.append(_[3]["status"])


def status(ready: str) -> Object:
    conditions = [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}]
    return {"observedGeneration": 1, "conditions": conditions}


def written_after(act: Callable[[StatusWriter], None]) -> list[str]:
    """What Ready was written as: once after ``status("True")`` was put, then after ``act``."""
    api = FakeApi()

    async def run() -> None:
        writer = StatusWriter(cast(KubeApi, api), "shop", "web", "uid")
        running = asyncio.create_task(writer.run())
        writer.put(status("True"))
        await writer.flush()
        act(writer)
        await writer.flush()
        running.cancel()

    asyncio.run(run())
    return [next(row["status"] for row in body["conditions"] if row["type"] == "Ready") for body in api.written]


def test_another_writers_condition_is_put_right() -> None:
    assert written_after(lambda writer: writer.reconcile(status("False"))) == ["True", "True"]


def test_what_agrees_is_left_alone() -> None:
    assert written_after(lambda writer: writer.reconcile(status("True"))) == ["True"]


def test_conditions_of_others_are_theirs() -> None:
    found = status("True")
    found["conditions"][1]["status"] = "False"
    assert written_after(lambda writer: writer.reconcile(found)) == ["True"]


def test_an_event_that_is_older_than_what_is_on_its_way_is_no_ones_claim() -> None:
    def act(writer: StatusWriter) -> None:
        writer.put(status("False"))
        writer.reconcile(status("True"))

    assert written_after(act) == ["True", "False"]
