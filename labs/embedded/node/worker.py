"""One pod from the moment it is bound to this node until it is gone."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from labs.embedded.node import restore, status
from labs.embedded.node.admission import Rejected, admit
from labs.embedded.node.containers import ContainerRunner
from labs.embedded.node.context import PodContext, Services
from labs.embedded.node.events import now
from labs.embedded.node.model import ContainerRecord, Object, PodRecord
from labs.embedded.node.status_writer import StatusWriter
from labs.embedded.node.volumes import MountError, Volumes
from labs.wire.addresses import api
from labs.wire.kube_api import ApiError

log = logging.getLogger(__name__)
MOUNT_RETRY = 10.0
"""Seconds between attempts to set up volumes whose sources are missing."""
VOLUME_REFRESH = 25.0
"""Seconds between two looks at ConfigMaps and Secrets behind volumes (measured on a kubelet: a change took 28 s)."""
SANDBOX_STOPPED_AFTER = 1.2
"""Seconds from the end of the last container to the terminal phase, as recorded."""
DEADLINE = "Pod was active on the node longer than the specified deadline"
FORCED_GRACE = 2.0
"""Seconds to live for a pod whose object is gone already (``kubectl delete --force``)."""
API_RETRY = 2.0


class PodWorker:
    """Runs one pod. ``run`` returns when the pod has been removed from the API and from the node."""

    def __init__(self, services: Services, pod: Object, directory: Path, others: Callable[[], Iterable[PodRecord]]) -> None:
        self.record: PodRecord = restore.pod_record(pod, directory)
        self._services = services
        self._others = others
        self._restored = any(record.container_id for record in self.record.containers.values())
        self._volumes = Volumes(services.node, self.record, services.sources, services.allocatable())
        self._context = PodContext(services, self.record, self._volumes, self.publish)
        self.runners = {name: ContainerRunner(self._context, record) for name, record in self.record.containers.items()}
        self._writer = StatusWriter(services.api, self.record.namespace, self.record.name, self.record.uid)
        self._progress = status.Progress(services.node.address, pod.get("status", {}).get("startTime") or now())
        self._life: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._published = asyncio.Event()
        self._deletion = asyncio.Event()
        self._grace = float("inf")
        self._gone = False
        self.finished = restore.is_terminal(pod)
        """No container runs and none will: the pod's phase is terminal."""

    async def run(self) -> None:
        """The pod's whole life here."""
        self._in_background(self._writer.run())
        try:
            if not self.finished:
                self._life = asyncio.create_task(self._live())
                await asyncio.wait([self._life, asyncio.create_task(self._deletion.wait())], return_when=asyncio.FIRST_COMPLETED)
                # Cancelled: its deadline has passed. Any other end is a bug of ours, which must not make the pod stay.
                if self._life.done() and not self._life.cancelled() and (error := self._life.exception()):
                    log.error("%s: the worker failed", self._context.full_name, exc_info=error)
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
        if pod["metadata"].get("deletionTimestamp"):
            self._delete_within(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        elif metadata_changed and self._progress.has_sandbox:
            self._in_background(self._refresh_volumes())
            self.publish()
        self._writer.reconcile(pod.get("status", {}))

    def removed(self) -> None:
        """The object is gone: forced deletion, or our own."""
        self._gone = True
        self._delete_within(FORCED_GRACE)

    def publish(self) -> None:
        """Compute the status and have it written if it changed."""
        if self.finished and not self._progress.finished:
            return
        computed = status.compute(self.record, self._progress, now(), self._services.devices.health)
        if computed != self.record.status:
            self.record.status = computed
            self._writer.put(computed)
        self._published.set()

    async def stop(self, grace: float) -> None:
        """The node goes down: end the processes, leave the API as it is."""
        if self._life:
            self._life.cancel()
        await self._stop_containers(grace, hooks_too=False)

    # Living.

    async def _live(self) -> None:
        try:
            await admit(self._services, self.record, self._others())
        except Rejected as rejection:
            return self._reject(rejection)
        self.publish()
        self._in_background(self._watch_deadline())
        # Of a pod that was running when the former agent died and must not be restarted, the remains are only reported.
        if not (self._restored and self.record.pod["spec"].get("restartPolicy") == "Never"):
            await self._run_containers()
        self.publish()
        await asyncio.sleep(SANDBOX_STOPPED_AFTER)
        self._finish()

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

    def _reject(self, rejection: Rejected) -> None:
        self._context.event(None, "Warning", rejection.reason, rejection.message)
        self.record.status = status.rejected(
            rejection.reason, rejection.message, self._progress.start_time, self.record.pod["metadata"].get("generation", 1)
        )
        self._writer.put(self.record.status)
        self._services.devices.release(self.record.uid)
        self.finished = True

    async def _set_up_volumes(self) -> None:
        while True:
            try:
                return await self._volumes.set_up()
            except MountError as error:
                self._context.event(None, "Warning", "FailedMount", str(error))
                await asyncio.sleep(MOUNT_RETRY)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("volumes of %s: %s", self.record.name, error)
                await asyncio.sleep(API_RETRY)

    async def _make_sandbox(self) -> None:
        while not (address := self._address()):
            text = "Failed to create pod sandbox: no addresses available in range set: " + str(self._services.node.pod_range)
            self._context.event(None, "Warning", "FailedCreatePodSandBox", text)
            await asyncio.sleep(MOUNT_RETRY)
        self.record.ip = address
        self._advance(has_sandbox=True, had_sandbox=True)
        self.publish()

    def _address(self) -> str | None:
        if self.record.pod["spec"].get("hostNetwork"):
            return api(self._services.node.address)
        return self._services.addresses.take()

    async def _initialize(self) -> bool:
        """Run the init containers in order, sidecars among them; whether all succeeded."""
        for record in self.record.containers.values():
            if record.kind == "main":
                break
            task = self.runners[record.name].start()
            if record.kind == "sidecar":
                await self._until(lambda record=record: record.started)  # type: ignore[misc]
                continue
            await asyncio.wait([task])
            task.result()
            if record.state.get("terminated", {}).get("exitCode") != 0:
                return False
        return True

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._published.clear()
            await self._published.wait()

    async def _watch_deadline(self) -> None:
        limit = self.record.pod["spec"].get("activeDeadlineSeconds")
        if limit is None:
            return
        end = datetime.fromisoformat(self._progress.start_time) + timedelta(seconds=limit)
        await asyncio.sleep(max((end - datetime.now(UTC)).total_seconds(), 0))
        if self.finished or self._deletion.is_set():
            return
        self._context.event(None, "Normal", "DeadlineExceeded", DEADLINE)
        self._advance(reason="DeadlineExceeded", message=DEADLINE)
        assert self._life is not None
        self._life.cancel()
        await self._stop_containers(self._full_grace())
        self.publish()
        await asyncio.sleep(SANDBOX_STOPPED_AFTER)
        self._finish()

    async def _keep_volumes_fresh(self) -> None:
        while True:
            await asyncio.sleep(VOLUME_REFRESH * random.uniform(0.8, 1.0))
            await self._refresh_volumes()

    async def _refresh_volumes(self) -> None:
        try:
            await self._volumes.refresh()
        except MountError as error:
            self._context.event(None, "Warning", "FailedMount", str(error))
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
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
        self._advance(has_sandbox=False, finished=True)
        self.finished = True
        self.publish()
        self._services.devices.release(self.record.uid)
        if self.record.ip and not self.record.pod["spec"].get("hostNetwork"):
            self._services.addresses.give_back(self.record.ip)

    async def _remove(self) -> None:
        """Take the object out of the API, then the pod's files off the node."""
        await self._writer.flush()
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
        shutil.rmtree(self.record.directory, ignore_errors=True)

    # Small things.

    def _of_kind(self, kind: str) -> list[ContainerRecord]:
        return [record for record in self.record.containers.values() if record.kind == kind]

    def _full_grace(self) -> float:
        return self.record.pod["spec"].get("terminationGracePeriodSeconds", 30)

    def _advance(self, **changes: object) -> None:
        self._progress = status.Progress(**(vars(self._progress) | changes))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if not task.cancelled():
            task.result()
