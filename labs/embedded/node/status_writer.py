"""Writes one pod's status to the API server, every step in order; behind a broken connection only the latest is kept."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp

from labs.embedded.node.model import Object
from labs.embedded.node.status import OWNED_CONDITIONS
from labs.wire.kube_api import STRATEGIC_PATCH, ApiError, KubeApi

log = logging.getLogger(__name__)
RETRY = 1.0
"""Seconds."""
REMOVABLE = ("reason", "message", "podIP", "podIPs", "initContainerStatuses")


class StatusWriter:
    """``put`` a PodStatus whenever it changed; ``run`` sends."""

    def __init__(self, api: KubeApi, namespace: str, name: str, uid: str) -> None:
        self._api = api
        self._path = (namespace, name)
        self._uid = uid
        self._queue: list[Object] = []
        self._last: Object | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, status: Object) -> None:
        self._last = status
        self._queue.append(status)
        self._idle.clear()
        self._wake.set()

    def reconcile(self, found: Object) -> None:
        """Somebody else may have written our conditions: the node controller says Ready False for every pod of a silent node.

        ``found`` is a PodStatus as the API server has it. What is on its way there is not taken for somebody else's.
        """
        if self._last is not None and self._idle.is_set() and _claims(found) != _claims(self._last):
            self.put(self._last)

    async def flush(self) -> None:
        """Wait until everything that was put has been written (or the pod is gone)."""
        await self._idle.wait()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                if await self._write(self._queue[0]):
                    self._queue.pop(0)
                else:
                    await asyncio.sleep(RETRY)
                    del self._queue[:-1]
            self._idle.set()

    async def _write(self, status: Object) -> bool:
        body = {"metadata": {"uid": self._uid}, "status": patch_of(status)}
        try:
            await self._api.patch("pods", *self._path, body, sub="status", content_type=STRATEGIC_PATCH)
        except ApiError as error:
            # Gone, or another pod of the same name: nothing of ours to write. Anything else refused will be refused again.
            log.log(
                logging.INFO if error.code in (404, 409) else logging.WARNING, "status of %s: %s", "/".join(self._path), error
            )
            return error.code < 500 and error.code != 429
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("status of %s: %s", "/".join(self._path), error)
            return False
        return True


def _claims(status: Object) -> dict[str, str]:
    return {row["type"]: row["status"] for row in status.get("conditions", []) if row["type"] in OWNED_CONDITIONS}


def patch_of(status: Object) -> Object:
    """A strategic merge patch that makes the kubelet's part of a pod's status equal ``status``.

    Conditions merge by type, so those of others stay; what is absent here is set to null, so that it goes away.
    """
    patch: dict[str, Any] = {key: status.get(key) for key in REMOVABLE} | status
    if "conditions" in status:
        patch["conditions"] = [{"reason": None, "message": None} | condition for condition in status["conditions"]]
        patch["conditions"].append({"type": "PodScheduled", "observedGeneration": status["observedGeneration"]})
        patch["$setElementOrder/conditions"] = [{"type": kind} for kind in (*OWNED_CONDITIONS, "PodScheduled")]
    return patch
