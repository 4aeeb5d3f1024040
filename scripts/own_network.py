"""Run a command in a network namespace of its own: ``python -m scripts.own_network COMMAND…``.

A lab's addresses are fixed, so that two labs need two networks. The namespace has loopback and nothing else. Who is not root
needs a user namespace, too, in which they stay who they are; some kernels and container runtimes forbid that.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
"""CLONE_NEWUSER and CLONE_NEWNET of sched.h."""
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1
"""SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP of netdevice(7)."""
REFUSED = 125
"""Exit code where the kernel forbids it; the command was not run."""


def command(words: Sequence[str]) -> list[str]:
    """The command that runs ``words`` in a network of its own."""
    return [sys.executable, "-m", "scripts.own_network", *words]


def possible() -> bool:
    """Whether this machine allows it: tried with a command that does nothing."""
    return subprocess.run(command(["true"]), capture_output=True, check=False).returncode == 0


def enter() -> None:
    """Move this process into a new network namespace and bring its loopback up.

    Raises:
        OSError: the kernel forbids it.
    """
    user, group = os.geteuid(), os.getegid()
    _unshare(NEW_NETWORK if user == 0 else NEW_USER | NEW_NETWORK)
    if user != 0:
        # The same user inside as outside; a group can be mapped only by who gave up setgroups (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _loopback_up()


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14x", b"lo", flags | UP))


def main(words: Sequence[str]) -> None:
    """Replace this process by the command, in its network."""
    try:
        enter()
    except (OSError, AttributeError) as error:
        print(f"own_network: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    os.execvp(words[0], list(words))


if __name__ == "__main__":
    main(sys.argv[1:])
