"""The usage of sandboxes and containers, in the interface's terms."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from labs.embedded.runtime import limits, usage
from labs.embedded.runtime.node import Node
from labs.embedded.runtime.records import Container, Sandbox
from labs.wire.cri import cri_pb2 as pb

FILES_TTL = 10.0
"""Seconds for which a count of a container's files is reused: counting walks all of them."""
DEFAULT_LINK = "eth0"


def number(value: int) -> pb.UInt64Value:
    return pb.UInt64Value(value=value)


@dataclass
class Statistics:
    """Measures one node; caches expensive results."""

    node: Node
    _files: dict[str, tuple[float, usage.Files]] = field(default_factory=dict)
    _cpu: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Container → time and CPU time of the previous measurement."""

    def containers(self, wanted: list[Container]) -> list[pb.ContainerStats]:
        """Statistics of the running ones."""
        running = [container for container in wanted if container.is_running]
        measured = usage.by_mounts({container.mounts for container in running})
        return [self._container(container, measured[container.mounts]) for container in running]

    def _container(self, container: Container, used: usage.Usage) -> pb.ContainerStats:
        now = time.time_ns()
        files = self._written(container.id)
        layer = pb.FilesystemUsage(timestamp=now, used_bytes=number(files.bytes), inodes_used=number(files.inodes))
        layer.fs_id.mountpoint = str(self.node.state)
        return pb.ContainerStats(
            attributes=attributes(container),
            cpu=self._processor(container.id, now, used.cpu),
            memory=memory(now, used, limits.memory_limit(container)),
            writable_layer=layer,
        )

    def _processor(self, id: str, now: int, spent: int) -> pb.CpuUsage:
        before, earlier = self._cpu.get(id, (0, 0))
        self._cpu[id] = (now, spent)
        result = pb.CpuUsage(timestamp=now, usage_core_nano_seconds=number(spent))
        if before and now > before and spent >= earlier:
            result.usage_nano_cores.value = (spent - earlier) * 10**9 // (now - before)
        return result

    def _written(self, id: str) -> usage.Files:
        measured, found = self._files.get(id, (0.0, usage.Files(0, 0)))
        if time.monotonic() - measured > FILES_TTL:
            found = usage.files(self.node.roots() / id / "upper")
            self._files[id] = (time.monotonic(), found)
        return found

    def sandbox(self, sandbox: Sandbox) -> pb.PodSandboxStats:
        """Statistics of one pod: the sum of its containers, and its network."""
        containers = self.containers(self.node.containers_of(sandbox.id))
        now = time.time_ns()
        linux = pb.LinuxPodSandboxStats(
            cpu=pb.CpuUsage(
                timestamp=now,
                usage_core_nano_seconds=number(sum(row.cpu.usage_core_nano_seconds.value for row in containers)),
                usage_nano_cores=number(sum(row.cpu.usage_nano_cores.value for row in containers)),
            ),
            memory=_sum([row.memory for row in containers], now),
            process=pb.ProcessUsage(timestamp=now, process_count=number(len(containers))),
            containers=containers,
        )
        if sandbox.addresses and sandbox.ready:
            linux.network.CopyFrom(_network(sandbox.pid, now))
        about = pb.PodSandboxAttributes(id=sandbox.id, metadata=sandbox.config.metadata)
        about.labels.update(sandbox.config.labels)
        about.annotations.update(sandbox.config.annotations)
        return pb.PodSandboxStats(attributes=about, linux=linux)


def attributes(container: Container) -> pb.ContainerAttributes:
    about = pb.ContainerAttributes(id=container.id, metadata=container.config.metadata)
    about.labels.update(container.config.labels)
    about.annotations.update(container.config.annotations)
    return about


def memory(now: int, used: usage.Usage, limit: int) -> pb.MemoryUsage:
    result = pb.MemoryUsage(
        timestamp=now,
        working_set_bytes=number(used.memory),
        usage_bytes=number(used.resident),
        rss_bytes=number(used.memory),
        page_faults=number(used.faults),
        major_page_faults=number(used.major_faults),
    )
    if limit:
        result.available_bytes.value = max(limit - used.memory, 0)
    return result


def _sum(rows: list[pb.MemoryUsage], now: int) -> pb.MemoryUsage:
    total = pb.MemoryUsage(timestamp=now)
    for name in ("working_set_bytes", "usage_bytes", "rss_bytes", "page_faults", "major_page_faults"):
        getattr(total, name).value = sum(getattr(row, name).value for row in rows)
    return total


def _network(pid: int, now: int) -> pb.NetworkUsage:
    result = pb.NetworkUsage(timestamp=now)
    try:
        rows = usage.network(pid)
    except OSError:  # the sandbox ended
        return result
    for name, received, bad_in, sent, bad_out in rows:
        link = pb.NetworkInterfaceUsage(
            name=name, rx_bytes=number(received), rx_errors=number(bad_in), tx_bytes=number(sent), tx_errors=number(bad_out)
        )
        if name == DEFAULT_LINK:
            result.default_interface.CopyFrom(link)
        elif name != "lo":
            result.interfaces.append(link)
    return result
