"""Limits without cgroups: containers are measured, and killed when they exceed a limit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from labs.embedded.runtime import usage
from labs.embedded.runtime.node import Node
from labs.embedded.runtime.records import Container
from labs.embedded.runtime.shim_client import ShimError
from labs.embedded.runtime.translate import MOST_PROCESSES

log = logging.getLogger(__name__)
PERIOD = 0.5
"""Seconds between two measurements."""
OOM_KILLED = "OOMKilled"
TOO_MANY = "TooManyProcesses"


def memory_limit(container: Container) -> int:
    """In bytes; 0 for none."""
    return int(container.config.linux.resources.memory_limit_in_bytes)


def verdict(limit: int, used: usage.Usage) -> str:
    """Why to kill a container with this usage; empty if it is within its limits."""
    if limit and used.memory > limit:
        return OOM_KILLED
    return TOO_MANY if used.processes > MOST_PROCESSES else ""


def enforce(node: Node) -> None:
    """Kill every container of the node that is over a limit."""
    running = {container.mounts: container for container in _running(node) if container.mounts}
    if not running:
        return
    for mounts, used in usage.by_mounts(set(running)).items():
        container = running[mounts]
        reason = verdict(memory_limit(container), used)
        if reason and container.is_running:
            log.warning(
                "%s: killing %s: %s (%d bytes, %d processes)", node.config.name, container.id, reason, used.memory, used.processes
            )
            try:
                node.kill(container, reason)
            except ShimError as error:
                log.warning("%s", error)


def _running(node: Node) -> Iterable[Container]:
    return [container for container in list(node.containers.values()) if container.is_running]


def watch(nodes: list[Node], stop: threading.Event) -> None:
    """Enforce the limits on all nodes until ``stop`` is set."""
    while not stop.wait(PERIOD):
        for node in nodes:
            enforce(node)
