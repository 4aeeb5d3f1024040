"""The pods of this node: follows those bound to it and gives each a worker (``model.PodManager``)."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence

from labs.embedded import shared_memory
from labs.embedded.node import memory
from labs.embedded.node.containers import ContainerRunner
from labs.embedded.node.context import Services, exec_command
from labs.embedded.node.model import Command, ContainerRecord, Object, PodRecord, Process
from labs.embedded.node.worker import PodWorker

log = logging.getLogger(__name__)


class Manager:
    """All workers of one agent."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.node.directory / "pods"
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        services.devices.on_change(self._devices_changed)

    def pods(self) -> list[PodRecord]:
        return [worker.record for worker in self._workers.values()]

    def find(self, namespace: str, name: str) -> PodRecord | None:
        # A pod replaced by one of the same name may still be terminating: take the newest.
        matches = [pod for pod in self.pods() if (pod.namespace, pod.name) == (namespace, name)]
        return matches[-1] if matches else None

    def exec_command(self, pod: PodRecord, container: ContainerRecord, argv: Sequence[str]) -> Command:
        return exec_command(container, argv, pod)

    async def spawn(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
    ) -> Process:
        return await self._services.launcher.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    async def run(self) -> None:
        """Follow the pods bound to this node; runs until cancelled."""
        selector = f"spec.nodeName={self._services.node.name}"
        limits = asyncio.create_task(memory.enforce(self._runners))
        try:
            await self._services.api.follow("pods", self._on_pod, on_sync=self._forget_leftovers, fieldSelector=selector)
        finally:
            limits.cancel()

    async def stop(self, grace: float) -> None:
        """End all containers, leaving the API as it is: to Kubernetes the node just disappears."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*(worker.stop(grace) for worker in self._workers.values()), return_exceptions=True)

    def _on_pod(self, kind: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if kind == "DELETED":
            if worker:
                worker.removed()
            return
        if worker is None:
            worker = self._adopt(uid, pod)
        worker.update(pod)

    def _adopt(self, uid: str, pod: Object) -> PodWorker:
        directory = self._directory / uid
        directory.mkdir(exist_ok=True, mode=0o700)
        worker = PodWorker(self._services, pod, directory, lambda: self._active(uid))
        self._workers[uid] = worker
        self._tasks[uid] = task = asyncio.create_task(worker.run(), name=f"pod {pod['metadata']['name']}")
        task.add_done_callback(lambda done: self._ended(uid, done))
        return worker

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(uid, None)
        if task.cancelled():
            return
        if error := task.exception():
            # Its record stays, so that the pod is not adopted again and again; the log says what went wrong here.
            log.error("%s: the worker failed", task.get_name(), exc_info=error)
            return
        self._workers.pop(uid, None)

    def _active(self, but: str) -> list[PodRecord]:
        """The pods that the node has taken and that have not ended, without the one with UID ``but``."""
        taken = [(uid, worker) for uid, worker in self._workers.items() if worker.admitted and not worker.finished]
        return [worker.record for uid, worker in taken if uid != but]

    def _runners(self) -> list[ContainerRunner]:
        return [runner for worker in self._workers.values() for runner in worker.runners.values()]

    def _devices_changed(self) -> None:
        for worker in self._workers.values():
            if worker.record.allocations and not worker.finished:
                worker.publish()

    def _forget_leftovers(self) -> None:
        """Remove what is left of pods that were deleted while no agent ran."""
        for folder in (self._directory, shared_memory.folder(self._services.node.name)):
            for directory in folder.iterdir() if folder.is_dir() else ():
                if directory.name not in self._workers:
                    shutil.rmtree(directory, ignore_errors=True)
