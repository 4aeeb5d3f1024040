"""What the API shows of one pod: computes its status from the records, and writes it when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from labs.embedded.node import status
from labs.embedded.node.context import Services
from labs.embedded.node.events import now
from labs.embedded.node.model import Object, PodRecord
from labs.embedded.node.status_writer import StatusWriter


class StatusPublisher:
    """One pod's status. The lifecycle reports the pod's progress (``advance``); whoever changes a record calls ``publish``."""

    def __init__(self, services: Services, record: PodRecord, *, closed: bool) -> None:
        """``closed``: the pod's status is already final, so nothing is written."""
        self._services = services
        self._record = record
        self._closed = closed
        self._writer = StatusWriter(services.api, record.namespace, record.name, record.uid, self._refused)
        self._progress = status.Progress(services.node.address, record.pod.get("status", {}).get("startTime") or now())
        self._published = asyncio.Event()

    @property
    def start_time(self) -> str:
        """When this node first took notice of the pod."""
        return self._progress.start_time

    @property
    def has_sandbox(self) -> bool:
        return self._progress.has_sandbox

    def advance(self, **changes: Any) -> None:
        """Record the pod's progress: fields of ``status.Progress``."""
        self._progress = replace(self._progress, **changes)

    def publish(self) -> None:
        """Compute the status and queue it for writing if it changed."""
        if self._closed:
            return
        computed = status.compute(self._record, self._progress, now(), self._services.devices.health)
        if computed != self._record.status:
            self._record.status = computed
            self._writer.put(computed)
        self._closed = self._progress.finished
        self._published.set()

    def reject(self, reason: str, message: str) -> None:
        """Publish the final status of a pod that this node does not take."""
        generation = self._record.pod["metadata"].get("generation", 1)
        self._record.status = status.rejected(reason, message, self.start_time, generation)
        self._writer.put(self._record.status)
        self._closed = True

    def reconcile(self, found: Object) -> None:
        """``found`` is the status as the API server has it: restore our fields if others have changed them."""
        self._writer.reconcile(found)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; checked each time the pod's status is published."""
        while not condition():
            self._published.clear()
            await self._published.wait()

    async def flush(self) -> None:
        """Wait until what was published has been written or refused."""
        await self._writer.flush()

    async def run(self) -> None:
        """Write statuses; runs until cancelled."""
        await self._writer.run()

    def _refused(self, message: str) -> None:
        text = f"the API server refused this pod's status: {message}"
        self._services.events.record(self._record.pod, "Warning", "FailedStatusUpdate", text)
