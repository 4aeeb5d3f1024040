"""The life of one pod, from the moment it is bound to this node until it is gone. What the API shows of it: see ``publisher``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from labs.embedded.node import fields, restore, status
from labs.embedded.node.admission import Rejected, admit
from labs.embedded.node.containers import ContainerRunner
from labs.embedded.node.context import PodContext, Services
from labs.embedded.node.model import ContainerRecord, Object, PodRecord
from labs.embedded.node.publisher import StatusPublisher
from labs.embedded.node.resize import Resizer
from labs.embedded.node.volumes import MountError, Volumes
from labs.wire.kube_api import ApiError

log = logging.getLogger(__name__)
MOUNT_RETRY = 10.0
"""Seconds between attempts to set up volumes whose sources are missing."""
VOLUME_REFRESH = 25.0
"""Seconds between two checks of the ConfigMaps and Secrets behind volumes (measured on a kubelet: a change took 28 s)."""
SANDBOX_STOPPED_AFTER = 1.2
"""Seconds from the end of the last container to the terminal phase, as recorded."""
DEADLINE = "Pod was active on the node longer than the specified deadline"
UNAVAILABLE = (ApiError, aiohttp.ClientError, TimeoutError)
FORCED_GRACE = 2.0
"""Grace in seconds for a pod whose object is already gone (``kubectl delete --force``)."""
API_RETRY = 2.0


class PodWorker:
    """Runs one pod. ``run`` returns when the pod has been removed from the API and from the node."""

    def __init__(self, services: Services, pod: Object, directory: Path, others: Callable[[], Iterable[PodRecord]]) -> None:
        """``others`` are the other pods that this node has taken."""
        self.record: PodRecord = restore.pod_record(pod, directory)
        self.finished = restore.is_terminal(pod)
        """No container runs or will run: the pod's phase is terminal."""
        self.admitted = False
        """The node has taken the pod: what it asks for counts."""
        self._services = services
        self._others = others
        self._restored = any(record.container_id for record in self.record.containers.values())
        self._volumes = Volumes(services.node, self.record, services.sources, services.allocatable())
        self._publisher = StatusPublisher(services, self.record, closed=self.finished)
        self._context = PodContext(services, self.record, self._volumes, self._publisher.publish)
        self.runners = {name: ContainerRunner(self._context, record) for name, record in self.record.containers.items()}
        self._resizer = Resizer(self._context, self.runners, others)
        # What an earlier agent has named need not be reported again.
        self._named = set(fields.not_honoured(pod)) if self._restored else set()
        self._life: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._updated = asyncio.Event()
        self._deletion = asyncio.Event()
        self._grace = float("inf")
        self._gone = False

    async def run(self) -> None:
        """The pod's whole life here."""
        self._in_background(self._publisher.run())
        try:
            if not self.finished:
                self._life = asyncio.create_task(self._live())
                await asyncio.wait([self._life, asyncio.create_task(self._deletion.wait())], return_when=asyncio.FIRST_COMPLETED)
                # Cancelled: its deadline has passed. Any other end is our bug, which must not keep the pod around.
                if self._life.done() and not self._life.cancelled() and (error := self._life.exception()):
                    self._report_bug(error)
            await self._deletion.wait()
            await self._terminate()
            await self._remove()
        finally:
            for task in self._background:
                task.cancel()

    def update(self, pod: Object) -> None:
        """The API server sent a newer object."""
        metadata_changed = any(
            pod["metadata"].get(key) != self.record.pod["metadata"].get(key) for key in ("labels", "annotations", "generation")
        )
        self.record.pod = pod
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            self.runners[container["name"]].update(container)
        self._updated.set()
        self._resizer.consider()
        if self.admitted:
            self._name_ignored_fields()
        if pod["metadata"].get("deletionTimestamp"):
            self._delete_within(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        elif self._publisher.has_sandbox:
            if metadata_changed:
                self._in_background(self._refresh_volumes())
            # Also for readiness gates, whose conditions others write.
            self._publisher.publish()
        self._publisher.reconcile(pod.get("status", {}))

    def removed(self) -> None:
        """The object is gone: forced deletion, or our own."""
        self._gone = True
        self._delete_within(FORCED_GRACE)

    def publish(self) -> None:
        """Publish a change outside the pod that its status shows, such as a device's health."""
        self._publisher.publish()

    async def stop(self, grace: float) -> None:
        """Stop with the node: end the processes, leave the API as it is."""
        if self._life:
            self._life.cancel()
        await self._stop_containers(grace, hooks_too=False)

    # Living.

    async def _live(self) -> None:
        try:
            await self._admit()
        except Rejected as rejection:
            return self._reject(rejection)
        self._publisher.publish()
        self._in_background(self._watch_deadline())
        self._in_background(self._resizer.run())
        # A pod that was running when the former agent died and must not restart is only reported.
        if not (self._restored and self.record.pod["spec"].get("restartPolicy") == "Never"):
            await self._run_containers()
        self._publisher.publish()
        await asyncio.sleep(SANDBOX_STOPPED_AFTER)
        self._finish()

    async def _admit(self) -> None:
        while not self.admitted:
            try:
                # One at a time: what one pod is promised must count before the next one asks.
                async with self._services.admission:
                    await admit(self._services, self.record, self._others())
                    self.admitted = True
            except UNAVAILABLE as error:
                log.info("%s cannot be admitted yet: %s", self.record.name, error)
                await asyncio.sleep(API_RETRY)
        self._name_ignored_fields()

    def _name_ignored_fields(self) -> None:
        """Record an event about fields that have no effect here; each is named once, even one added later."""
        found = fields.not_honoured(self.record.pod)
        new = [row for row in found if row not in self._named]
        self._named.update(new)
        if new:
            self._context.event(None, "Warning", "UnsupportedField", f"the embedded backend does not honour {'; '.join(new)}")

    def _reject(self, rejection: Rejected) -> None:
        self._context.event(None, "Warning", rejection.reason, rejection.message)
        self._publisher.reject(rejection.reason, rejection.message)
        self._services.devices.release(self.record.uid)
        self.finished = True

    def _report_bug(self, error: BaseException) -> None:
        log.error("%s: the worker failed", self._context.full_name, exc_info=error)
        self._context.event(None, "Warning", "FailedSync", f"error syncing pod: {type(error).__name__}: {error}")

    async def _run_containers(self) -> None:
        if self._restored:
            self._context.event(None, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        await self._set_up_volumes()
        await self._make_sandbox()
        self._in_background(self._keep_volumes_fresh())
        if await self._initialize():
            tasks = [self.runners[record.name].start() for record in self._of_kind("main")]
            await asyncio.wait(tasks)
            _raise_first(tasks)
        await self._stop_sidecars(self._full_grace())

    async def _set_up_volumes(self) -> None:
        while True:
            try:
                return await self._volumes.set_up()
            except MountError as error:
                self._context.event(None, "Warning", "FailedMount", str(error))
                await asyncio.sleep(MOUNT_RETRY)
            except UNAVAILABLE as error:
                log.info("volumes of %s: %s", self.record.name, error)
                await asyncio.sleep(API_RETRY)

    async def _make_sandbox(self) -> None:
        while not (address := self._address()):
            text = "Failed to create pod sandbox: no addresses available in range set: " + str(self._services.node.pod_range)
            self._context.event(None, "Warning", "FailedCreatePodSandBox", text)
            await asyncio.sleep(MOUNT_RETRY)
        self.record.ip = address
        self._publisher.advance(has_sandbox=True, had_sandbox=True)
        self._publisher.publish()

    def _address(self) -> str | None:
        if self.record.pod["spec"].get("hostNetwork"):
            return self._services.node.network.shown(self._services.node.address)
        return self._services.addresses.take()

    async def _initialize(self) -> bool:
        """Run the init containers in order, sidecars among them; whether all succeeded."""
        for record in self.record.containers.values():
            if record.kind == "main":
                break
            task = self.runners[record.name].start()
            if record.kind == "sidecar":
                await self._publisher.until(lambda record=record: record.started)  # type: ignore[misc]
                continue
            await asyncio.wait([task])
            task.result()
            if record.state.get("terminated", {}).get("exitCode") != 0:
                return False
        return True

    async def _watch_deadline(self) -> None:
        while (left := self._left()) > 0:
            self._updated.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._updated.wait(), None if left == float("inf") else left)
        if self.finished or self._deletion.is_set():
            return
        self._context.event(None, "Normal", "DeadlineExceeded", DEADLINE)
        self._publisher.advance(reason="DeadlineExceeded", message=DEADLINE)
        assert self._life is not None
        self._life.cancel()
        await self._stop_containers(self._full_grace())
        self._publisher.publish()
        await asyncio.sleep(SANDBOX_STOPPED_AFTER)
        self._finish()

    def _left(self) -> float:
        """Seconds until ``activeDeadlineSeconds`` is over; it may change at any time."""
        limit = self.record.pod["spec"].get("activeDeadlineSeconds")
        if limit is None:
            return float("inf")
        end = datetime.fromisoformat(self._publisher.start_time) + timedelta(seconds=limit)
        return (end - datetime.now(UTC)).total_seconds()

    async def _keep_volumes_fresh(self) -> None:
        while True:
            await asyncio.sleep(VOLUME_REFRESH * random.uniform(0.8, 1.0))
            await self._refresh_volumes()

    async def _refresh_volumes(self) -> None:
        try:
            await self._volumes.refresh()
        except MountError as error:
            self._context.event(None, "Warning", "FailedMount", str(error))
        except UNAVAILABLE as error:
            log.info("volumes of %s stay as they are: %s", self.record.name, error)

    # Ending.

    def _delete_within(self, grace: float) -> None:
        again = self._deletion.is_set()
        shorter = grace < self._grace
        self._grace = min(grace, self._grace)
        self._deletion.set()
        if again and shorter:
            self._in_background(self._stop_containers(grace))

    async def _terminate(self) -> None:
        if self.finished:
            return
        if self._life:
            self._life.cancel()
        await self._stop_containers(self._grace)
        if not self.finished:
            self._finish()

    async def _stop_containers(self, grace: float, *, hooks_too: bool = True) -> None:
        deadline = time.monotonic() + grace
        mains = [self.runners[record.name] for record in self.record.containers.values() if record.kind != "sidecar"]
        await asyncio.gather(*(runner.stop(grace, hooks_too=hooks_too) for runner in mains))
        await self._stop_sidecars(max(deadline - time.monotonic(), 0.0), hooks_too=hooks_too)

    async def _stop_sidecars(self, grace: float, *, hooks_too: bool = True) -> None:
        for record in reversed(self._of_kind("sidecar")):
            await self.runners[record.name].stop(grace, hooks_too=hooks_too)

    def _finish(self) -> None:
        for record in self.record.containers.values():
            if record.state.get("waiting", {}).get("reason") not in status.INITIAL and record.last_state:
                record.state = record.last_state if "waiting" in record.state else record.state
        self._publisher.advance(has_sandbox=False, finished=True)
        self.finished = True
        self._publisher.publish()
        self._services.devices.release(self.record.uid)
        if self.record.ip and not self.record.pod["spec"].get("hostNetwork"):
            self._services.addresses.give_back(self.record.ip)

    async def _remove(self) -> None:
        """Take the object out of the API, then the pod's files off the node."""
        await self._publisher.flush()
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.record.uid}}
        while not self._gone:
            try:
                await self._services.api.delete("pods", self.record.namespace, self.record.name, body)
                break
            except ApiError as error:
                if error.code in (404, 409):  # gone, or another pod of this name is there
                    break
                log.warning("cannot delete %s: %s", self.record.name, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.info("cannot delete %s yet: %s", self.record.name, error)
            await asyncio.sleep(API_RETRY)
        self._volumes.remove()
        shutil.rmtree(self.record.directory, ignore_errors=True)

    # Small things.

    def _of_kind(self, kind: str) -> list[ContainerRecord]:
        return [record for record in self.record.containers.values() if record.kind == kind]

    def _full_grace(self) -> float:
        grace: float = self.record.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return grace

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if not task.cancelled():
            task.result()
