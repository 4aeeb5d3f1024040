"""One node of the runtime: its sandboxes and containers, what the shim does for them, and what is on record."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import uuid
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import cast

from labs.embedded.namespaces.links import PodLink, link_name
from labs.embedded.runtime import spec, translate
from labs.embedded.runtime.images import Image
from labs.embedded.runtime.records import CONFIG, SPEC, Container, Sandbox, load_all
from labs.embedded.runtime.shim_client import Answer, ShimClient, ShimError, ShimGone
from labs.wire.cri import cri_pb2 as pb

log = logging.getLogger(__name__)
KILL_TIMEOUT = 10.0
"""Seconds that the kernel may take to end a killed container."""
RECONNECT = 0.2
"""Seconds between two attempts to reach a shim that is gone."""
START_ERROR = "StartError"
TERM, KILL = 15, 9
FIRST_HOST = 2
"""Lower numbers are the network's own and the node's."""


class OutOfAddresses(Exception):
    """Every address of the node's pod range is in use."""


@dataclass(frozen=True)
class NodeConfig:
    """Where a node is and which addresses it gives out."""

    name: str
    state: str
    """Folder with the shim's socket and the records."""
    socket: str
    """Where the kubelet finds the runtime."""
    pod_ranges: tuple[str, ...]
    """One range per IP version, the primary one first."""
    host_address: str
    """The node's own address."""


class Node:
    """State of one node; its methods are called by many threads."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.state = Path(config.state)
        self.shim = ShimClient(self.state)
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._last_host = FIRST_HOST - 1
        self._shim_pid = 0
        self.synced = threading.Event()
        """Set once the shim has reported what runs."""
        for name in ("sandboxes", "containers"):
            (self.state / name).mkdir(parents=True, exist_ok=True)

    def load(self) -> None:
        """Read the records of an earlier runtime."""
        for sandbox in load_all(self.state / "sandboxes", Sandbox):
            self.sandboxes[sandbox.id] = cast(Sandbox, sandbox)
        for container in load_all(self.state / "containers", Container):
            self.containers[container.id] = cast(Container, container)

    # --- what the shim says

    def follow_shim(self) -> None:
        """Keep the records up to date, for ever, in a separate thread."""
        while True:
            try:
                for event in self.shim.watch():
                    self._note(event)
            except ShimGone:
                pass
            self._note({"shim": 0, "running": {}, "sandboxes": {}})
            time.sleep(RECONNECT)

    def _note(self, event: Answer) -> None:
        with self._changed:
            if "running" in event:
                self._compare(event["shim"], event["running"], event["sandboxes"])
                self.synced.set()
            elif event["container"] in self.containers:
                self.containers[event["container"]].end(event["exit"], event["finished"])
            self._changed.notify_all()

    def _compare(self, shim: int, running: dict[str, int], sandboxes: dict[str, int]) -> None:
        self._shim_pid = shim
        for sandbox in self.sandboxes.values():
            if sandbox.ready and sandbox.id not in sandboxes:
                sandbox.ready = False
                sandbox.save()
        for container in self.containers.values():
            if container.is_running and container.id not in running:
                container.end_as_recorded()

    # --- sandboxes

    def run_sandbox(self, config: pb.PodSandboxConfig) -> Sandbox:
        """Make a sandbox and connect it.

        Raises:
            OutOfAddresses, translate.Unsupported, ShimError: nothing is left of it.
        """
        id = uuid.uuid4().hex
        wanted = translate.sandbox(id, config, self.config.name)
        folder = self.state / "sandboxes" / id
        with self._lock:
            addresses = [] if wanted.host_network else self._free_addresses()
            sandbox = Sandbox(id, folder, config, time.time_ns(), addresses)
            self.sandboxes[id] = sandbox
        folder.mkdir()
        try:
            spec.save_sandbox(wanted, folder / SPEC)
            sandbox.pid = self.shim.ask({"op": "sandbox", "spec": str(folder / SPEC)})["pid"]
            if addresses:
                link = PodLink(link_name(id), f"/proc/{sandbox.pid}/ns/net", tuple(addresses), self.config.host_address)
                link.connect()
        except Exception:
            self._discard(sandbox)
            raise
        sandbox.ready = True
        sandbox.save()
        return sandbox

    def _discard(self, sandbox: Sandbox) -> None:
        try:
            self.shim.ask({"op": "stop", "sandbox": sandbox.id})
        except ShimError:
            log.warning("sandbox %s could not be stopped", sandbox.id)
        del self.sandboxes[sandbox.id]
        shutil.rmtree(sandbox.folder)

    def _free_addresses(self) -> list[str]:
        """One address of each range, all with the same number; the most recently used number comes last."""
        used = {address for sandbox in self.sandboxes.values() for address in sandbox.addresses}
        ranges = [ip_network(text) for text in self.config.pod_ranges]
        hosts = ranges[0].num_addresses - 1
        for step in range(1, hosts):
            host = (self._last_host + step - FIRST_HOST) % (hosts - FIRST_HOST) + FIRST_HOST
            if str(ranges[0][host]) not in used:
                self._last_host = host
                return [str(one[host]) for one in ranges]
        raise OutOfAddresses(f"all {hosts - FIRST_HOST} pod addresses of {ranges[0]} on node {self.config.name} are in use")

    def stop_sandbox(self, id: str) -> None:
        """End everything in it and free its addresses; harmless when repeated."""
        sandbox = self.sandboxes.get(id)
        if sandbox is None:
            return
        for container in self.containers_of(id):
            self.stop(container, 0)
        if sandbox.ready or sandbox.addresses:
            self.shim.ask({"op": "stop", "sandbox": id})
            sandbox.ready, sandbox.addresses = False, []
            sandbox.save()

    def remove_sandbox(self, id: str) -> None:
        self.stop_sandbox(id)
        for container in self.containers_of(id):
            self.remove(container)
        sandbox = self.sandboxes.pop(id, None)
        if sandbox:
            shutil.rmtree(sandbox.folder)

    def containers_of(self, sandbox: str) -> list[Container]:
        return [container for container in list(self.containers.values()) if container.sandbox == sandbox]

    # --- containers

    def create(self, sandbox: Sandbox, config: pb.ContainerConfig, image: Image) -> Container:
        """Record what to start.

        Raises:
            translate.Unsupported: it asks for something unsupported.
        """
        id = uuid.uuid4().hex
        folder = self.state / "containers" / id
        wanted = translate.Translation(id, config, sandbox.config, spec.load_sandbox(sandbox.folder / SPEC), image)
        specification = wanted.container()
        user = specification.user
        record = Container(
            id, folder, config, sandbox.id, image.reference, image.id, time.time_ns(), user.uid, user.gid, list(user.groups)
        )
        folder.mkdir()
        specification.save(folder / SPEC)
        record.save()
        self.containers[id] = record
        return record

    def start(self, container: Container) -> None:
        """Start its program; returns when it runs.

        Raises:
            ShimError: it does not run; the container then counts as ended, as in other runtimes.
        """
        container.started = time.time_ns()
        try:
            container.pid = self.shim.ask({"op": "start", "spec": str(container.folder / SPEC)})["pid"]
        except ShimError as error:
            with self._lock:
                container.reason, container.message = START_ERROR, str(error)
                container.end(128, time.time_ns())
            raise
        container.mounts = _mounts_of(container.pid)
        with self._lock:
            if not container.finished:
                container.save()

    def stop(self, container: Container, grace: float) -> None:
        """Ask its program to end; kill it after ``grace`` seconds."""
        if grace > 0 and container.is_running:
            self._signal(container, _stop_signal(container.config))
            self._wait_for_end(container, grace)
        if container.is_running:
            self._signal(container, KILL)
            if not self._wait_for_end(container, KILL_TIMEOUT):
                raise ShimError(f"container {container.id} was killed but does not end")

    def _signal(self, container: Container, number: int) -> None:
        self.shim.ask({"op": "signal", "container": container.id, "signal": number})

    def _wait_for_end(self, container: Container, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not container.is_running, timeout)

    def kill(self, container: Container, reason: str) -> None:
        """Kill it at once, with ``reason`` in its status."""
        container.mark_killed(reason)
        self._signal(container, KILL)

    def update(self, container: Container, resources: pb.LinuxContainerResources) -> None:
        """Change the given limits from now on."""
        with self._lock:
            container.config.linux.resources.MergeFrom(resources)
            (container.folder / CONFIG).write_bytes(container.config.SerializeToString())

    def roots(self) -> Path:
        """Where containers' own files are, seen from here: the file system is mounted in the shim's namespace only."""
        return Path("/proc", str(self._shim_pid), "root", str(self.state).lstrip("/"), "roots")

    def remove(self, container: Container) -> None:
        self.stop(container, 0)
        self.shim.ask({"op": "release", "container": container.id})
        self.containers.pop(container.id, None)
        shutil.rmtree(container.folder, ignore_errors=True)


def _stop_signal(config: pb.ContainerConfig) -> int:
    if config.stop_signal == pb.SIGNAL_RUNTIME_DEFAULT:
        return TERM
    name = pb.Signal.Name(config.stop_signal).removeprefix("SIGNAL_")
    if name.startswith("SIGRTM"):
        base, _, offset = name.replace("PLUS", "+").replace("MINUS", "-").partition("+" if "PLUS" in name else "-")
        number = int(signal.Signals[base])
        return number + int(offset or 0) * (1 if base == "SIGRTMIN" else -1)
    return int(signal.Signals[name])


def _mounts_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:  # it has ended already
        return ""
