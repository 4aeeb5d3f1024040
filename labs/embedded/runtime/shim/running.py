"""One container while it runs: its process, its log, its input, and the clients attached to it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from dataclasses import dataclass, field

from labs.embedded.runtime.shim.logs import LogFile, Stream
from labs.embedded.runtime.spec import Container

VIEWER_TIMEOUT = 1000
"""Milliseconds a viewer may block; a slower one is dropped, since the container must not wait for it."""


@dataclass
class Running:
    """A started container."""

    spec: Container
    pid: int
    log: LogFile
    input: int | None = None
    """The write end of its stdin: a pipe, or its terminal's other end."""
    outputs: dict[int, Stream] = field(default_factory=dict)
    """Open pipes (or the terminal) → the stream."""
    viewers: dict[str, list[int]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    code: int | None = None
    finished: int = 0
    """Nanoseconds since 1970."""
    mounts: str = ""
    """The mount namespace: every process in it belongs to this container."""

    def note_mounts(self) -> None:
        try:
            self.mounts = os.readlink(f"/proc/{self.pid}/ns/mnt")
        except OSError:
            pass  # it has ended already

    def kill_rest(self) -> None:
        """Kill every process of the container."""
        for pid in processes_in(self.mounts) if self.mounts else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended meanwhile

    def show(self, stream: str, data: bytes) -> None:
        """Send output to attached clients."""
        for fd in list(self.viewers[stream]):
            if not _write_all(fd, data):
                self.viewers[stream].remove(fd)
                os.close(fd)

    def feed(self, data: bytes) -> bool:
        """Give the program input; False if it takes none."""
        return self.input is not None and _write_all(self.input, data)

    def close_input(self) -> None:
        if self.input is not None and not self.spec.tty:
            os.close(self.input)
            self.input = None

    def resize(self, rows: int, columns: int) -> None:
        if self.spec.tty and self.input is not None:
            fcntl.ioctl(self.input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """The program has ended and its output is read."""
        self.log.close()
        for fds in self.viewers.values():
            for fd in fds:
                os.close(fd)
            fds.clear()
        if self.input is not None:
            os.close(self.input)
            self.input = None


def _write_all(fd: int, data: bytes) -> bool:
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        waiter = select.poll()
        waiter.register(fd, select.POLLOUT)
        ready = waiter.poll(VIEWER_TIMEOUT)
        if not ready or ready[0][1] & (select.POLLERR | select.POLLNVAL):
            return False
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            continue
        except OSError:
            return False
    return True


def processes_in(mounts: str) -> list[int]:
    """Numbers of the processes in the mount namespace that ``/proc/PID/ns/mnt`` calls ``mounts``."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink(f"/proc/{name}/ns/mnt") == mounts:
                    found.append(int(name))
            except OSError:
                continue  # it ended meanwhile, or is the kernel's
    return found
