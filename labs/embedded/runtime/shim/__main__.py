"""``python -S -m labs.embedded.runtime.shim STATE``: the shim of the node whose state is in the folder STATE."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from labs.embedded.namespaces import syscalls
from labs.embedded.runtime.shim.service import Service

SOCKET = "shim.sock"
TMPFS = "roots"
"""Folder below STATE where containers' own files are: in memory, gone with the shim, limited in size."""
LARGEST_SHARE = 4
"""Containers may write at most this part of the machine's memory: 1/4."""


def prepare_mounts(state: Path) -> None:
    """A mount namespace of the node's own: the kubelet's built-in paths lead to its state; containers write into memory."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    for name in ("kubelet", "logs", TMPFS):
        (state / name).mkdir(exist_ok=True)
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // LARGEST_SHARE
    syscalls.mount("tmpfs", str(state / TMPFS), "tmpfs", syscalls.MS_NODEV, f"mode=755,size={size}")
    # Opened first: the next mounts may cover the state.
    whole = os.open(state, os.O_PATH | os.O_DIRECTORY)
    for target, name in (("/var/lib/kubelet", "kubelet"), ("/var/log/pods", "logs")):
        # Nothing is created on the machine: the folder above is our own, and empty.
        above = Path(target).parent
        syscalls.mount("tmpfs", str(above), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=1m")
        Path(target).mkdir()
        syscalls.mount(f"/proc/self/fd/{whole}/{name}", target, flags=syscalls.MS_BIND)
    if not state.exists():
        state.mkdir(parents=True)
        syscalls.mount(f"/proc/self/fd/{whole}", str(state), flags=syscalls.MS_BIND | syscalls.MS_REC)
    os.close(whole)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SHARED)


def listen(folder: Path) -> socket.socket:
    """The shim's socket; bound relative to its folder, since such an address has at most 107 characters."""
    (folder / SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(folder)
    mask = os.umask(0o077)
    listener.bind(SOCKET)
    os.umask(mask)
    os.fchdir(here)
    os.close(here)
    listener.listen(128)
    return listener


def main(state: Path) -> None:
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    prepare_mounts(state)
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))  # its children get SIGKILL from the kernel
    Service(state, state / TMPFS, listen(state)).run(reader)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
