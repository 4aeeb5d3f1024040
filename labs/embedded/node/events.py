"""Events about pods, in the background; the same event again only counts up, as ``kubectl describe`` shows it (x3 over 2m)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from datetime import UTC, datetime

import aiohttp

from labs.embedded.node.model import Object
from labs.wire.kube_api import ApiError, KubeApi

log = logging.getLogger(__name__)
REMEMBERED = 500
"""How many different events are remembered for counting."""


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Events:
    """Records events in order; ``run`` sends them."""

    def __init__(self, api: KubeApi, node: str) -> None:
        self._api = api
        self._node = node
        self._queue: asyncio.Queue[Object] = asyncio.Queue()
        self._sent: OrderedDict[tuple[str, ...], Object] = OrderedDict()

    def record(self, pod: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """``kind`` is Normal or Warning; ``field_path`` such as ``spec.containers{main}``."""
        metadata = pod["metadata"]
        involved = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        if field_path:
            involved["fieldPath"] = field_path
        self._queue.put_nowait(
            {"type": kind, "reason": reason, "message": message[:1024], "involvedObject": involved, "lastTimestamp": now()}
        )

    async def run(self) -> None:
        """Send what was recorded; runs until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._send(event)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("event %s was not recorded: %s", event["reason"], error)  # events are best effort, as in Kubernetes
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until all recorded events were sent."""
        await self._queue.join()

    async def _send(self, event: Object) -> None:
        involved = event["involvedObject"]
        key = (involved["uid"], involved.get("fieldPath", ""), event["type"], event["reason"], event["message"])
        namespace = involved["namespace"]
        known = self._sent.get(key)
        if known:
            known["count"] += 1
            change = {"count": known["count"], "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._api.patch("events", namespace, known["name"], change)
                return
            except ApiError as error:
                if error.code != 404:  # the event has expired: record a new one
                    raise
        name = f"{involved['name']}.{time.time_ns():x}"
        source = {"component": "kubelet", "host": self._node}
        body = event | {
            "metadata": {"name": name, "namespace": namespace},
            "firstTimestamp": event["lastTimestamp"],
            "count": 1,
            "source": source,
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
        }
        await self._api.create("events", namespace, body)
        self._sent[key] = {"name": name, "count": 1}
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
