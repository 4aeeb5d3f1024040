"""What the API server has of a pod's conditions is put right when somebody else wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from labs.embedded.node import status_writer
from labs.embedded.node.model import Object
from labs.embedded.node.status_writer import StatusWriter
from labs.wire.kube_api import ApiError, KubeApi
from tests.support.waiting import until


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
        writer = StatusWriter(cast(KubeApi, api), "shop", "web", "uid", lambda _: None)
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


class RefusingApi(FakeApi):
    """Answers the first writes with the errors of ``errors``, one each."""

    def __init__(self, *errors: ApiError) -> None:
        super().__init__()
        self.errors = list(errors)

    async def patch(self, *args: Any, **options: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)
        await super().patch(*args, **options)


@pytest.mark.parametrize(
    ("code", "told", "written"),
    [
        (422, ["status.qosClass: Forbidden"], 1),
        (403, ["status.qosClass: Forbidden"], 1),
        (409, [], 1),
        (503, [], 1),
        (429, [], 1),
        (404, [], 0),
    ],
)
async def test_a_refused_status_is_reported_and_offered_again(
    code: int, told: list[str], written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost but what belongs to a pod that is gone (404); and nobody who flushes waits until one is mended."""
    monkeypatch.setattr(status_writer, "RETRY", 0.01)
    monkeypatch.setattr(status_writer, "REFUSED_RETRY", 0.2)
    api, heard = RefusingApi(ApiError(code, "Invalid", "status.qosClass: Forbidden")), list[str]()
    writer = StatusWriter(cast(KubeApi, api), "shop", "web", "uid", heard.append)
    running = asyncio.create_task(writer.run())
    writer.put(status("True"))
    await asyncio.wait_for(writer.flush(), 10)
    assert heard == told
    await until(lambda: len(api.written) == written)
    running.cancel()
    assert api.errors == []


async def test_what_is_put_after_a_refused_status_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_writer, "REFUSED_RETRY", 1000.0)
    api = RefusingApi(ApiError(422, "Invalid", "no"))
    writer = StatusWriter(cast(KubeApi, api), "shop", "web", "uid", lambda _: None)
    running = asyncio.create_task(writer.run())
    writer.put(status("True"))
    await asyncio.wait_for(writer.flush(), 10)
    writer.put(status("False"))
    await asyncio.wait_for(writer.flush(), 10)
    running.cancel()
    assert [body["conditions"][0]["status"] for body in api.written] == ["False"]


def test_a_resize_that_is_over_leaves_no_condition() -> None:
    resizing = {"type": "PodResizePending", "status": "True"}
    during = status_writer.patch_of({"observedGeneration": 1, "conditions": [resizing]})
    assert {"type": "PodResizePending", "$patch": "delete"} not in during["conditions"]
    after = status_writer.patch_of({"observedGeneration": 1, "conditions": []})
    assert {"type": "PodResizePending", "$patch": "delete"} in after["conditions"]
    order = [row["type"] for row in after["$setElementOrder/conditions"]]
    assert order == ["PodScheduled"]
