"""In-place resize: a pod's spec asks for other resources than its node has granted.

Three states, as in a kubelet: what the spec asks for, what the node has granted (``ContainerRecord.allocated``), and what the
containers run with. The last two are the same here except for a container that must restart to get its new resources.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

from labs.embedded.node import admission, quantity
from labs.embedded.node.containers import ContainerRunner
from labs.embedded.node.context import PodContext
from labs.embedded.node.model import ContainerRecord, Object, PodRecord

DEFERRED_RETRY = 5.0
"""Seconds between two attempts to grant what did not fit."""
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
ACTUATION_SHOWN = 1.0
"""Minimum seconds for which a resize shows as in progress: a kubelet needs about one."""
RESIZABLE = ("cpu", "memory")


class Resizer:
    """Grants one pod the resources that its spec asks for, once they fit."""

    def __init__(
        self, context: PodContext, runners: dict[str, ContainerRunner], others: Callable[[], Iterable[PodRecord]]
    ) -> None:
        self._context = context
        self._record = context.record
        self._runners = runners
        self._others = others
        self._asked = asyncio.Event()
        self._refused: tuple[int, str] | None = None

    def consider(self) -> None:
        """The pod's spec has changed."""
        self._asked.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._pending() and not self._fits():
                await self._until_asked(DEFERRED_RETRY)
            if self._pending():
                await self._grant()
            elif self._record.resizing.pop(PENDING, None):
                self._context.publish()  # the spec has been reverted

    async def _until_asked(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return
        self._asked.clear()

    def _pending(self) -> list[ContainerRecord]:
        return [record for record in self._record.containers.values() if not _is_granted(record)]

    def _fits(self) -> bool:
        others = [admission.granted(other) for other in self._others()]
        try:
            admission.fit(self._record.pod, others, self._context.services.allocatable())
        except admission.Rejected as refused:
            self._defer(refused)
            return False
        return True

    def _defer(self, refused: admission.Rejected) -> None:
        self._record.resizing[PENDING] = ("Deferred", refused.message)
        generation = self._record.pod["metadata"].get("generation", 1)
        if self._refused != (generation, refused.message):
            self._refused = (generation, refused.message)
            text = f"Pod resize {refused.reason}: {summary(self._record.pod, refused.message)}"
            self._context.event(None, "Warning", "ResizeDeferred", text)
        self._context.publish()

    async def _grant(self) -> None:
        changed = self._pending()
        restarted = [record for record in changed if _needs_restart(record)]
        for record in changed:
            record.allocated = record.spec.get("resources", {})
        self._record.resizing.pop(PENDING, None)
        self._record.resizing[IN_PROGRESS] = ("", "")
        self._refused = None
        what = summary(self._record.pod)
        self._context.event(None, "Normal", "ResizeStarted", f"Pod resize started: {what}")
        self._context.publish()
        for record in restarted:
            self._runners[record.name].restart(f"Container {record.name} resize requires restart")
        await asyncio.sleep(ACTUATION_SHOWN)
        del self._record.resizing[IN_PROGRESS]
        self._context.event(None, "Normal", "ResizeCompleted", f"Pod resize completed: {what}")
        self._context.publish()


def _is_granted(record: ContainerRecord) -> bool:
    return same_resources(record.spec.get("resources", {}), record.allocated)


def same_resources(one: Object, other: Object) -> bool:
    """Whether two ``resources`` have the same limits and requests."""
    return all(quantity.same(one.get(key, {}), other.get(key, {})) for key in ("limits", "requests"))


def _needs_restart(record: ContainerRecord) -> bool:
    policies = {row["resourceName"]: row["restartPolicy"] for row in record.spec.get("resizePolicy", [])}
    wanted = record.spec.get("resources", {})
    return any(
        policies.get(name) == "RestartContainer" and _one(wanted, name) != _one(record.allocated, name) for name in RESIZABLE
    )


def _one(resources: Object, name: str) -> list[object]:
    values = [resources.get(key, {}).get(name) for key in ("limits", "requests")]
    return [None if value is None else quantity.parse(value) for value in values]


def summary(pod: Object, error: str = "") -> str:
    """The pod's resources as the kubelet's events show them."""
    rows: Object = {
        key: [{"name": item["name"], "resources": item.get("resources", {})} for item in pod["spec"].get(key, [])]
        for key in ("initContainers", "containers")
        if pod["spec"].get(key)
    }
    rows["generation"] = pod["metadata"].get("generation", 1)
    return json.dumps(rows | ({"error": error} if error else {}), separators=(",", ":"))
