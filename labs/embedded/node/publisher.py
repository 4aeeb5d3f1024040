"""What the API shows of one pod: its status is computed here from the records, and written when it changed."""

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
    """The status of one pod. The lifecycle says how far the pod is (``advance``); whoever changes a record says ``publish``."""

    def __init__(self, services: Services, record: PodRecord, *, closed: bool) -> None:
        """``closed``: the pod's status is final already, and nothing is to be written."""
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
        """The pod has come further: fields of ``status.Progress``."""
        self._progress = replace(self._progress, **changes)

    def publish(self) -> None:
        """Compute the status and have it written if it changed."""
        if self._closed:
            return
        computed = status.compute(self._record, self._progress, now(), self._services.devices.health)
        if computed != self._record.status:
            self._record.status = computed
            self._writer.put(computed)
        self._closed = self._progress.finished
        self._published.set()

    def reject(self, reason: str, message: str) -> None:
        """The last word on a pod that this node does not take."""
        generation = self._record.pod["metadata"].get("generation", 1)
        self._record.status = status.rejected(reason, message, self.start_time, generation)
        self._writer.put(self._record.status)
        self._closed = True

    def reconcile(self, found: Object) -> None:
        """``found`` is the status as the API server has it: put right what others wrote of ours."""
        self._writer.reconcile(found)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; it is asked each time that the pod's status is published."""
        while not condition():
            self._published.clear()
            await self._published.wait()

    async def flush(self) -> None:
        """Wait until what was published has been written or refused."""
        await self._writer.flush()

    async def run(self) -> None:
        """Write; runs until cancelled."""
        await self._writer.run()

    def _refused(self, message: str) -> None:
        text = f"the API server refused this pod's status: {message}"
        self._services.events.record(self._record.pod, "Warning", "FailedStatusUpdate", text)
