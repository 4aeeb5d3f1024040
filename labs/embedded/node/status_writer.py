"""Writes one pod's status to the API server, every step in order; while the connection is broken only the latest is kept."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from typing import Any

import aiohttp

from labs.embedded.node.model import Object
from labs.embedded.node.status import OWNED_CONDITIONS, RESIZE_CONDITIONS
from labs.wire.kube_api import STRATEGIC_PATCH, ApiError, KubeApi

log = logging.getLogger(__name__)
RETRY = 1.0
"""Seconds before retrying a write that failed because of a broken connection or an API server in trouble."""
REFUSED_RETRY = 10.0
"""Seconds before retrying a status that the API server refused."""
REMOVABLE = ("reason", "message", "podIP", "podIPs", "initContainerStatuses")


class Outcome(enum.Enum):
    """The outcome of one write."""

    DONE = "done"
    """Written, or the pod is gone and there is nothing to write."""
    AGAIN = "again"
    """It did not get through: the same write may succeed soon."""
    REFUSED = "refused"


class StatusWriter:
    """``put`` a PodStatus whenever it changed; ``run`` sends it. A refused one is reported, and retried later."""

    def __init__(self, api: KubeApi, namespace: str, name: str, uid: str, on_refused: Callable[[str], None]) -> None:
        """``on_refused`` gets the API server's words each time it refuses a status."""
        self._api = api
        self._path = (namespace, name)
        self._uid = uid
        self._on_refused = on_refused
        self._queue: list[Object] = []
        self._last: Object | None = None
        self._refused = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, status: Object) -> None:
        self._last = status
        self._queue.append(status)
        self._idle.clear()
        self._wake.set()

    def reconcile(self, found: Object) -> None:
        """Others may have written our conditions: the node controller says Ready False for every pod of a silent node.

        ``found`` is a PodStatus as the API server has it. Writes of ours still in flight are not mistaken for someone else's.
        """
        if self._last is not None and self._idle.is_set() and _claims(found) != _claims(self._last):
            self.put(self._last)

    async def flush(self) -> None:
        """Wait until everything that was put has been written or refused (or the pod is gone)."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send statuses; runs until cancelled."""
        while True:
            await self._until_work()
            while self._queue:
                outcome = await self._write(self._queue[0])
                if outcome is Outcome.AGAIN:
                    await asyncio.sleep(RETRY)
                    del self._queue[:-1]
                    continue
                self._queue.pop(0)
                self._refused = outcome is Outcome.REFUSED
            self._idle.set()

    async def _until_work(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), REFUSED_RETRY if self._refused else None)
        except TimeoutError:
            assert self._last is not None
            self._queue.append(self._last)
        self._wake.clear()

    async def _write(self, status: Object) -> Outcome:
        body = {"metadata": {"uid": self._uid}, "status": patch_of(status)}
        name = "/".join(self._path)
        try:
            await self._api.patch("pods", *self._path, body, sub="status", content_type=STRATEGIC_PATCH)
        except ApiError as error:
            log.warning("status of %s: %s", name, error)
            return self._judge(error)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("status of %s: %s", name, error)
            return Outcome.AGAIN
        return Outcome.DONE

    def _judge(self, error: ApiError) -> Outcome:
        if error.code == 404:
            return Outcome.DONE
        if error.code >= 500 or error.code == 429:
            return Outcome.AGAIN
        # 409 is another pod of the same name, or a race that the API server lost: nothing to tell the pod's owner.
        if error.code != 409:
            self._on_refused(error.message)
        return Outcome.REFUSED


def _claims(status: Object) -> dict[str, str]:
    return {row["type"]: row["status"] for row in status.get("conditions", []) if row["type"] in OWNED_CONDITIONS}


def patch_of(status: Object) -> Object:
    """A strategic merge patch that makes the kubelet's part of a pod's status equal ``status``.

    Conditions merge by type, so those of others stay; what is absent here is set to null, which removes it.
    """
    patch: dict[str, Any] = {key: status.get(key) for key in REMOVABLE} | status
    if "conditions" in status:
        patch["conditions"] = [{"reason": None, "message": None} | condition for condition in status["conditions"]]
        patch["conditions"].append({"type": "PodScheduled", "observedGeneration": status["observedGeneration"]})
        patch["$setElementOrder/conditions"] = [{"type": condition["type"]} for condition in patch["conditions"]]
        present = {condition["type"] for condition in patch["conditions"]}
        over = [kind for kind in RESIZE_CONDITIONS if kind not in present]
        patch["conditions"] += [{"type": kind, "$patch": "delete"} for kind in over]
    return patch
