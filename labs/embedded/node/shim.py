"""The fork server of one node agent: every container and exec'd program of the node is its child.

A separate script (``python -I -S shim.py FD``), not part of the agent's process, for three reasons. It has one thread, so
forking is safe and PR_SET_PDEATHSIG (which follows the *thread* that forked) means what it says; it is small, so forking is
cheap; and it outlives an agent that is killed with -9 just long enough to kill every pod,
grandchildren included: that is a node failure.

Protocol, one JSON object per packet of a SOCK_SEQPACKET socket. To the shim: ``{"id", "program", "argv", "env", "cwd", "owner",
"main", "tty"}`` with three file descriptors (stdin, stdout, stderr), or ``{"kill": pid, "signal": n}``.
From it: ``{"id", "pid"}`` or ``{"id", "errno"}``, later ``{"pid", "code"}``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios

TYPE_CHECKING = False  # not from typing: this process stays small
if TYPE_CHECKING:
    from typing import TypedDict

    class Start(TypedDict):
        """A program to start, as the agent asks for it."""

        id: int
        program: str
        argv: list[str]
        env: dict[str, str]
        cwd: str
        owner: str
        main: bool
        tty: bool


PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PACKET = 1 << 18
"""Largest request in bytes (the kernel's limit for a packet is about twice net.core.wmem_default)."""

prctl = ctypes.CDLL(None, use_errno=True).prctl


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, parents before children."""
    found = []
    todo = [pid]
    while todo:
        try:
            with open(f"/proc/{todo[0]}/task/{todo[0]}/children") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:  # it ended while we looked
            children = []
        todo = todo[1:] + children
        found += children
    return found


def owner_of(pid: int) -> str:
    """The container a process was started in, by the mark in its initial environment ("" when it cannot be told)."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for entry in file.read().split(b"\0"):
                if entry.startswith(b"LAB_CONTAINER_ID="):
                    return entry.partition(b"=")[2].decode()
    except OSError:
        pass  # it ended while we looked
    return ""


def kill(pid: int, number: int, *, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it ended meanwhile, or gave itself other rights: then PDEATHSIG and the kernel are all there is


class Shim:
    """State of the fork server: its children and their owners."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.owners: dict[int, str] = {}
        self.mains: set[int] = set()

    def serve(self, wakeup: int) -> None:
        """Serve until the agent is gone; then kill everything."""
        while True:
            ready, _, _ = select.select([self.channel.fileno(), wakeup], [], [])
            if wakeup in ready:
                os.read(wakeup, 4096)
                self.reap()
            if self.channel.fileno() in ready and not self.handle():
                return self.kill_all()

    def handle(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self.channel, PACKET, 3, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        request = json.loads(data)
        if "kill" in request:
            if request["kill"] in self.owners:  # never a pid that is no longer ours
                kill(request["kill"], request["signal"], group=True)
        else:
            self.start(request, fds)
        for fd in fds:
            os.close(fd)
        return True

    def start(self, request: Start, fds: list[int]) -> None:
        reader, writer = os.pipe()  # both ends close on exec: EOF means the program runs
        pid = os.fork()
        if pid == 0:
            become(request, fds, writer)
        os.close(writer)
        error = os.read(reader, 16)
        os.close(reader)
        if error:
            os.waitpid(pid, 0)
            self.tell({"id": request["id"], "errno": int(error)})
            return
        self.owners[pid] = request["owner"]
        if request["main"]:
            self.mains.add(pid)
        self.tell({"id": request["id"], "pid": pid})

    def reap(self) -> None:
        """Collect the dead; when a container's first process is among them, nothing of that container may survive."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            owner = self.owners.pop(pid, None)
            if owner is None:
                continue  # an orphan that was re-parented to us
            if pid in self.mains:
                self.mains.discard(pid)
                self.kill_owner(owner)
            code = os.waitstatus_to_exitcode(status)
            self.tell({"pid": pid, "code": code if code >= 0 else 128 - code})

    def kill_owner(self, owner: str) -> None:
        for pid in descendants(os.getpid()):
            if self.owners.get(pid) == owner or (pid not in self.owners and owner_of(pid) == owner):
                kill(pid, signal.SIGKILL, group=False)

    def kill_all(self) -> None:
        while remaining := descendants(os.getpid()):
            for pid in remaining:
                kill(pid, signal.SIGKILL, group=False)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def tell(self, message: dict[str, int]) -> None:
        try:
            self.channel.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            pass  # the agent is gone: the next read reports it, and everything is killed


def become(request: Start, fds: list[int], report: int) -> None:
    """In the child: turn into the program asked for, or report the errno and exit."""
    try:
        parent = os.getppid()
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the shim died before PDEATHSIG was set
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if request["tty"]:
            fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.chdir(request["cwd"])
        os.execve(request["program"], request["argv"], request["env"])
    except OSError as error:
        os.write(report, str(error.errno or errno.EIO).encode())
    os._exit(127)


def main(fd: int) -> None:
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the agent decides when its pods end; its loss is the signal
    channel = socket.socket(fileno=fd)
    Shim(channel).serve(reader)


if __name__ == "__main__":
    main(int(sys.argv[1]))
