"""What the shim must know about a sandbox or a container, as JSON on disk: it reads no protobuf."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labs.wire.replace_file import replace_text


@dataclass(frozen=True)
class Mount:
    """A bind mount at ``target``, the path in the container."""

    source: str
    target: str
    readonly: bool = False
    propagation: str = "private"
    """``private``, ``slave`` (mounts made later outside appear inside) or ``shared`` (and vice versa)."""


@dataclass(frozen=True)
class Sandbox:
    """The namespaces that the containers of a pod share."""

    id: str
    hostname: str
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    shared_pid: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    """Who a container's program runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Container:
    """A container's program and its environment."""

    id: str
    sandbox: Sandbox
    argv: list[str]
    env: dict[str, str]
    cwd: str = "/"
    user: User = User()
    log: str = ""
    """Path of its log; empty for none."""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    mounts: tuple[Mount, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    """Path in the container → content of its own file there."""
    hidden: tuple[str, ...] = ()
    """Paths of the machine that no container sees."""
    readonly_root: bool = False
    readonly_paths: tuple[str, ...] = ()
    masked_paths: tuple[str, ...] = ()
    devices: tuple[Mount, ...] = ()
    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    """The most it may have, such as ``CAP_CHOWN``; a privileged one has all."""
    no_new_privileges: bool = False
    processes: int = 0
    """Most processes it may have; 0 for no limit."""

    def save(self, path: Path) -> None:
        replace_text(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Container:
        row = json.loads(path.read_bytes())
        row["sandbox"] = Sandbox(**row["sandbox"])
        row["user"] = User(row["user"]["uid"], row["user"]["gid"], tuple(row["user"]["groups"]))
        for name in ("mounts", "devices"):
            row[name] = tuple(Mount(**mount) for mount in row[name])
        for name in ("hidden", "readonly_paths", "masked_paths", "capabilities"):
            row[name] = tuple(row[name])
        return cls(**row)


def save_sandbox(sandbox: Sandbox, path: Path) -> None:
    replace_text(path, json.dumps(asdict(sandbox)))


def load_sandbox(path: Path) -> Sandbox:
    return Sandbox(**json.loads(path.read_bytes()))
