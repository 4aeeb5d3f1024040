"""The runtime's records of sandboxes and containers: on disk, so that a killed runtime finds its pods again."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from labs.embedded.runtime.shim_client import Answer
from labs.wire.cri import cri_pb2 as pb
from labs.wire.replace_file import replace_text

CONFIG, META, SPEC, EXIT, KILLED = "config.pb", "meta.json", "spec.json", "exit.json", "killed"
LOST = 137
"""Exit code of a container that ended with its node: as if killed."""
Config = TypeVar("Config", bound=Message)


@dataclass
class Sandbox:
    """A pod's sandbox."""

    id: str
    folder: Path
    config: pb.PodSandboxConfig
    created: int
    """Nanoseconds since 1970."""
    addresses: list[str] = field(default_factory=list)
    pid: int = 0
    ready: bool = False

    def save(self) -> None:
        row = {"id": self.id, "created": self.created, "addresses": self.addresses, "pid": self.pid, "ready": self.ready}
        _save(self.folder, self.config, row)

    @classmethod
    def load(cls, folder: Path) -> Sandbox:
        return cls(folder=folder, config=_load(folder, pb.PodSandboxConfig()), **json.loads((folder / META).read_text()))


@dataclass
class Container:
    """A container; its state follows from its times."""

    id: str
    folder: Path
    config: pb.ContainerConfig
    sandbox: str
    image: str
    """Its image's reference."""
    image_id: str
    created: int
    uid: int = 0
    gid: int = 0
    groups: list[int] = field(default_factory=list)
    started: int = 0
    finished: int = 0
    code: int = 0
    reason: str = ""
    message: str = ""
    pid: int = 0
    mounts: str = ""
    """Its mount namespace, which identifies its processes."""

    @property
    def state(self) -> pb.ContainerState:
        if self.finished:
            return pb.CONTAINER_EXITED
        return pb.CONTAINER_RUNNING if self.started else pb.CONTAINER_CREATED

    @property
    def is_running(self) -> bool:
        return bool(self.started and not self.finished)

    def save(self) -> None:
        row = asdict(self)
        del row["config"], row["folder"]
        _save(self.folder, self.config, row)

    @classmethod
    def load(cls, folder: Path) -> Container:
        return cls(folder=folder, config=_load(folder, pb.ContainerConfig()), **json.loads((folder / META).read_text()))

    def mark_killed(self, reason: str) -> None:
        """Record why it is about to be killed, for whoever sees its end."""
        replace_text(self.folder / KILLED, reason)

    def end(self, code: int, finished: int) -> None:
        """Record its end: with this exit code, at this time."""
        killed = self.folder / KILLED
        self.reason = killed.read_text() if killed.exists() else self.reason or ("Error" if code else "Completed")
        self.code, self.started = code, self.started or finished
        # Last: another thread that sees the end must also see its reason.
        self.finished = finished
        self.save()

    def end_as_recorded(self) -> None:
        """End it since it does not run: as the shim recorded its end, or as lost with its node."""
        try:
            row: Answer = json.loads((self.folder / EXIT).read_text())
        except (OSError, ValueError):
            row = {"exit": LOST, "finished": time.time_ns()}
        self.end(row["exit"], row["finished"])


def _save(folder: Path, config: Message, row: Answer) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONFIG).exists():
        (folder / CONFIG).write_bytes(config.SerializeToString())
    replace_text(folder / META, json.dumps(row))


def _load(folder: Path, config: Config) -> Config:
    config.ParseFromString((folder / CONFIG).read_bytes())
    return config


def load_all(folder: Path, load: type[Sandbox] | type[Container]) -> list[Sandbox | Container]:
    """Every complete record below ``folder``; remove those half written when the runtime was killed."""
    found: list[Sandbox | Container] = []
    for path in sorted(folder.iterdir()):
        if (path / META).exists():
            found.append(load.load(path))
        else:
            shutil.rmtree(path)
    return found
