"""Whether this process may create namespaces, and if not, what forbids it. Tried in a child; switches only explain a failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labs.embedded.namespaces import identity, links, syscalls

FLAGS = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET
LONGEST_REPORT = 4096


@dataclass(frozen=True)
class UnsupportedReason:
    """Why a lab cannot have its own namespaces on this machine."""

    step: str
    """What was tried and the kernel's answer."""
    reason: str
    """What forbids it, as far as known."""
    fix: str
    """The one command an administrator can run; empty if there is none."""

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"


@dataclass(frozen=True)
class Switch:
    """A setting that forbids namespaces, recognised by the content of a file under ``/proc``."""

    path: str
    holds: Callable[[str], bool]
    reason: str
    fix: str


def _is(value: str) -> Callable[[str], bool]:
    return lambda text: text.strip() == value


SWITCHES = (
    Switch(
        "sys/kernel/apparmor_restrict_unprivileged_userns",
        _is("1"),
        "AppArmor removes the privileges that a user namespace grants (Ubuntu's default since 24.04)",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    Switch(
        "sys/kernel/unprivileged_userns_clone",
        _is("0"),
        "this kernel reserves user namespaces for root",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    *(
        Switch(
            f"sys/user/max_{kind}_namespaces",
            _is("0"),
            f"{kind} namespaces are disabled",
            f"sudo sysctl -w user.max_{kind}_namespaces=15000",
        )
        for kind in ("user", "net", "mnt", "pid", "uts", "ipc")
    ),
    Switch(
        "self/status",
        lambda text: "Seccomp:\t2" in text,
        "a seccomp filter forbids it, as in a Docker or Kubernetes container",
        "start the container with --security-opt seccomp=unconfined",
    ),
)
UNKNOWN = "none of the settings known to forbid it is set"


def unsupported_reason(attempt: Callable[[], None] | None = None, proc: Path = Path("/proc")) -> UnsupportedReason | None:
    """None if this process can create namespaces, else why not. Takes about 10 ms and changes nothing.

    ``attempt`` and ``proc`` are for tests: what to try, and where to read the switches.
    """
    failure = _failure(attempt or _try_everything)
    if not failure:
        return None
    for switch in SWITCHES:
        try:
            text = (proc / switch.path).read_text()
        except OSError:
            continue
        if switch.holds(text):
            return UnsupportedReason(failure, switch.reason, switch.fix)
    return UnsupportedReason(failure, UNKNOWN, "")


def _try_everything() -> None:
    """What a lab does first: its namespaces, its users, loopback up, an address, a file system of its own."""
    identity.enter_new(FLAGS)
    links.loopback_up()
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", "/proc", "tmpfs")


def _failure(attempt: Callable[[], None]) -> str:
    """The error in a child that tries ``attempt``; empty if there is none."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, _quietly(attempt).encode()[:LONGEST_REPORT])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def _quietly(call: Callable[[], None]) -> str:
    try:
        call()
    except OSError as error:
        return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)
    except Exception as error:  # whatever it is, report it to the parent
        return repr(error)
    return ""
