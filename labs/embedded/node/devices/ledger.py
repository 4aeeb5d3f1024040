"""Which container holds which device, kept in a file so that a restarted agent does not allocate a device twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labs.embedded.node.model import Allocation
from labs.wire.replace_file import replace_text

log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Pod UID, container name, resource."""


class Ledger:
    """Allocations by pod, container and resource, and the resources ever offered. A change is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[Key, Allocation] = {}
        self.resources: set[str] = set()
        """Resources that plugins had registered when the file was last written."""
        if path.exists():
            self._load()

    def get(self, pod_uid: str, container: str, resource: str) -> Allocation | None:
        return self._held.get((pod_uid, container, resource))

    def container(self, pod_uid: str, container: str) -> list[Allocation]:
        """The devices this container holds, of all resources."""
        return [held for (uid, name, _), held in self._held.items() if (uid, name) == (pod_uid, container)]

    def in_use(self, resource: str) -> set[str]:
        return {device for held in self._held.values() if held.resource == resource for device in held.device_ids}

    def put(self, pod_uid: str, container: str, allocation: Allocation) -> None:
        self._held[pod_uid, container, allocation.resource] = allocation
        self._save()

    def drop(self, pod_uid: str) -> bool:
        """Forget what the pod held; returns whether it held anything."""
        keys = [key for key in self._held if key[0] == pod_uid]
        for key in keys:
            del self._held[key]
        if keys:
            self._save()
        return bool(keys)

    def know(self, resources: Iterable[str]) -> None:
        """Record which resources plugins offer now."""
        if set(resources) != self.resources:
            self.resources = set(resources)
            self._save()

    def _save(self) -> None:
        rows = [
            {
                "pod": uid,
                "container": container,
                "resource": held.resource,
                "devices": list(held.device_ids),
                "env": dict(held.env),
                "mounts": [list(mount) for mount in held.mounts],
            }
            for (uid, container, _), held in self._held.items()
        ]
        replace_text(self._path, json.dumps({"resources": sorted(self.resources), "allocations": rows}, indent=1))

    def _load(self) -> None:
        try:
            content = json.loads(self._path.read_text())
            self._held = {_key(row): _allocation(row) for row in content["allocations"]}
            self.resources = set(content["resources"])
        except (ValueError, KeyError, TypeError) as error:
            # Half-written by a version of the agent that did not replace atomically, or edited: the pods still run without it.
            log.warning("%s is not a checkpoint of device allocations (%s); starting without", self._path, error)


def _key(row: dict[str, Any]) -> Key:
    return row["pod"], row["container"], row["resource"]


def _allocation(row: dict[str, Any]) -> Allocation:
    mounts = tuple((container_path, host_path) for container_path, host_path in row["mounts"])
    return Allocation(row["resource"], tuple(row["devices"]), dict(row["env"]), mounts)
