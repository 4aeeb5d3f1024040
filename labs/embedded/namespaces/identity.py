"""Which users a user namespace knows: the maps of ``/proc/PID/uid_map`` and ``gid_map``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labs.embedded.namespaces import syscalls

SUBORDINATE = 65536
"""Users of a namespace made by root: as many as images expect."""
FIRST_SUBORDINATE = 100_000
"""Their first id outside: no user of the machine has such a number."""


@dataclass(frozen=True)
class Range:
    """``count`` ids from ``inside`` are those from ``outside`` of the namespace above."""

    inside: int
    outside: int
    count: int = 1

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


def for_lab() -> list[Range]:
    """Root inside is whoever makes the lab. Real root can also give the lab its own users; any other user has only itself."""
    me = Range(0, os.geteuid())
    if os.geteuid() == 0 and _may_set_ids():
        return [me, Range(1, FIRST_SUBORDINATE, SUBORDINATE - 1)]
    return [me]


def _may_set_ids() -> bool:
    """Whether this is root of the machine, not of a user namespace that itself knows only one user."""
    rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return sum(int(count) for _, _, count in rows) > FIRST_SUBORDINATE + SUBORDINATE


def write_maps(pid: int | str, users: list[Range], groups: list[Range]) -> None:
    """Give process ``pid``, which just made a user namespace, its users and groups.

    Raises:
        OSError: the kernel refuses them.
    """
    process = Path(f"/proc/{pid}")
    if all(row.count == 1 for row in groups):
        # Without this an ordinary user may not map groups: dropping a group could grant access that the group was denied.
        (process / "setgroups").write_text("deny")
    for name, rows in (("uid_map", users), ("gid_map", groups)):
        (process / name).write_text("\n".join(map(str, rows)) + "\n")


def knows_many() -> bool:
    """Whether this process' user namespace has users besides root: then chown, setuid and file owners are real."""
    return any(int(line.split()[2]) > 1 for line in Path("/proc/self/uid_map").read_text().splitlines())


def enter_new(flags: int) -> None:
    """Move this process into new namespaces, including a user namespace, in which it is root.

    Raises:
        OSError: the kernel refuses; the message names the step.
    """
    users, groups = for_lab(), [Range(0, os.getegid())]
    if len(users) == 1:
        syscalls.unshare(flags | syscalls.CLONE_NEWUSER)
        write_maps("self", users, groups)
        return
    # More than one's own user: only a process above may write the map.
    helper = _Helper(lambda target: write_maps(target, users, [*groups, *users[1:]]))
    syscalls.unshare(flags | syscalls.CLONE_NEWUSER)
    helper.act()


class _Helper:
    """A child that stays in the current namespaces and does one thing to us from there on request."""

    def __init__(self, task: Callable[[int], None]) -> None:
        self._answer, answer = os.pipe()
        order, self._order = os.pipe()
        target = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._order)
            error = b"the process above ended"
            if os.read(order, 1):
                error = _attempt(lambda: task(target))
            os.write(answer, error)
            os._exit(0)
        os.close(answer)
        os.close(order)

    def act(self) -> None:
        os.write(self._order, b"!")
        with os.fdopen(self._answer) as pipe:
            error = pipe.read()
        os.close(self._order)
        os.waitpid(self._pid, 0)
        if error:
            raise OSError(0, error)


def _attempt(call: Callable[[], None]) -> bytes:
    try:
        call()
    except OSError as error:
        return str(error).encode()
    return b""
