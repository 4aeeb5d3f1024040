"""What a pod's worker and its containers work with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labs.embedded.node import rootfs
from labs.embedded.node.addresses import AddressPool
from labs.embedded.node.events import Events
from labs.embedded.node.images import ImageTable
from labs.embedded.node.model import Command, ContainerRecord, DeviceManager, Node, PodRecord, StartError
from labs.embedded.node.processes import Launcher
from labs.embedded.node.sources import Sources
from labs.embedded.node.volumes import Volumes
from labs.wire.kube_api import KubeApi

OUTPUT_LIMIT = 10 * 1024
"""Bytes kept of a probe's or hook's output, as the kubelet does."""


@dataclass(frozen=True)
class Services:
    """What all pods of the node share."""

    node: Node
    api: KubeApi
    launcher: Launcher
    images: ImageTable
    sources: Sources
    events: Events
    devices: DeviceManager
    addresses: AddressPool
    admission: asyncio.Lock
    """Held while the node decides whether to take a pod."""
    allocatable: Callable[[], Mapping[str, str]]
    """The node's allocatable resources as quantities."""


@dataclass(frozen=True)
class ExecResult:
    """How an exec'd program ended; ``output`` is stdout and stderr as they came."""

    code: int
    stdout: str
    output: str


@dataclass(frozen=True)
class PodContext:
    """One pod and its environment."""

    services: Services
    record: PodRecord
    volumes: Volumes
    publish: Callable[[], None]
    """Compute the status again and write it."""

    @property
    def full_name(self) -> str:
        """As the kubelet names a pod in messages: NAME_NAMESPACE(UID)."""
        return f"{self.record.name}_{self.record.namespace}({self.record.uid})"

    def event(self, container: ContainerRecord | None, kind: str, reason: str, message: str) -> None:
        """Record an event about the pod or one of its containers."""
        path = ""
        if container:
            path = f"spec.{'containers' if container.kind == 'main' else 'initContainers'}{{{container.name}}}"
        self.services.events.record(self.record.pod, kind, reason, message, path)

    async def execute(self, container: ContainerRecord, argv: Sequence[str], timeout: float | None = None) -> ExecResult:
        """Run a program in the container and wait for it.

        Raises:
            StartError: it could not be started.
            TimeoutError: it took longer than ``timeout`` seconds; it has been killed.
        """
        command = exec_command(container, argv, self.record)
        out, err = os.pipe(), os.pipe()
        readers = [asyncio.create_task(_drain(fd)) for fd in (out[0], err[0])]
        try:
            try:
                process = await self.services.launcher.spawn(command, stdout=out[1], stderr=err[1])
            finally:
                os.close(out[1])
                os.close(err[1])
            try:
                code = await asyncio.wait_for(process.wait(), timeout)
            except BaseException:
                process.signal(9)
                raise
            stdout, stderr = await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
        return ExecResult(code, stdout, stdout + stderr)


async def _drain(fd: int) -> str:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0))
    try:
        kept = b""
        while chunk := await reader.read(4096):
            kept = (kept + chunk)[:OUTPUT_LIMIT]
        return kept.decode(errors="replace")
    finally:
        transport.close()


def exec_command(container: ContainerRecord, argv: Sequence[str], pod: PodRecord) -> Command:
    """``argv`` as it runs in ``container``: its env and working folder, mounted paths rewritten.

    Raises:
        StartError: the container does not run.
    """
    if container.pid is None:
        raise StartError(f'container not found ("{container.name}")')
    paths = path_map(pod, container)
    return Command([paths.rewrite(word) for word in argv], container.env, container.working_dir, container.container_id)


def path_map(pod: PodRecord, container: ContainerRecord) -> rootfs.PathMap:
    """How paths in ``container`` are rewritten."""
    devices = [target for allocation in pod.allocations.get(container.name, []) for target, _ in allocation.mounts]
    return rootfs.PathMap(container.root, rootfs.mounted_paths(container.spec, devices))
