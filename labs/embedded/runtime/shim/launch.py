"""Forking: a sandbox, a container in it, a program in a container. Each function runs in the shim and returns at once."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.embedded.namespaces import links, syscalls
from labs.embedded.runtime.shim import rights
from labs.embedded.runtime.shim.rootfs import RootBuilder
from labs.embedded.runtime.spec import Container, Sandbox

NOT_FOUND = 127
REPORT = 4096
"""Longest report of a failure, in bytes."""
TIOCSPTLCK, TIOCGPTN = 0x40045431, 0x80045430
SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Launch:
    """A process being started: ``report`` ends empty when its program runs, else says what went wrong."""

    pid: int
    report: int


def sandbox(spec: Sandbox) -> Launch:
    """The process that holds a pod's namespaces, and collects orphans where its containers share one PID namespace."""
    flags = syscalls.CLONE_NEWUTS
    flags |= 0 if spec.host_ipc else syscalls.CLONE_NEWIPC
    flags |= 0 if spec.host_network else syscalls.CLONE_NEWNET
    flags |= syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS if spec.shared_pid else 0

    def become() -> None:
        if spec.hostname:
            syscalls.check(syscalls.libc.sethostname(spec.hostname.encode(), len(spec.hostname.encode())), "sethostname")
        if not spec.host_network:
            links.loopback_up()
            _write_setting("net.ipv4.ip_unprivileged_port_start", "0")
        for name, value in spec.sysctls.items():
            _write_setting(name, value)

    return _spawn(lambda: None, flags, become, _pause)


def _write_setting(name: str, value: str) -> None:
    Path("/proc/sys", name.replace(".", "/")).write_text(value)


def _pause() -> None:
    """Wait for ever; end on a signal to do so."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigtimedwait([signal.SIGCHLD], 3600)


def container(
    spec: Container, pause: int, base: Path, memory: Path, streams: Sequence[int], console: socket.socket | None
) -> Launch:
    """The first process of a container; ``streams`` are its stdin, stdout and stderr, or ``console`` takes its terminal's end."""
    flags = syscalls.CLONE_NEWNS | (0 if spec.sandbox.shared_pid or spec.sandbox.host_pid else syscalls.CLONE_NEWPID)
    kinds = ["net", "uts", "ipc"] + (["pid"] if spec.sandbox.shared_pid else [])

    def become() -> None:
        RootBuilder(spec, base, memory).enter()
        _enter_folder(spec.cwd)
        attach_terminal(console) if console else _use(streams)
        rights.become(spec)

    return _spawn(lambda: _join(pause, kinds), flags, become, lambda: execute(spec.argv, spec.env))


def program(spec: Container, first: int, argv: Sequence[str], streams: Sequence[int], console: socket.socket | None) -> Launch:
    """An extra program in a running container, whose first process is ``first``."""
    root = os.open(f"/proc/{first}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def become() -> None:
        os.fchdir(root)
        os.chroot(".")
        _enter_folder(spec.cwd)
        attach_terminal(console) if console else _use(streams)
        rights.become(spec)

    launch = _spawn(lambda: _join(first, ["net", "uts", "ipc", "pid", "mnt"]), 0, become, lambda: execute(argv, spec.env))
    os.close(root)
    return launch


def _join(pid: int, kinds: Sequence[str]) -> None:
    files = [(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), kind) for kind in kinds]
    for fd, kind in files:
        syscalls.setns(fd, syscalls.KINDS[kind])


def _enter_folder(path: str) -> None:
    """Make the working directory if it is missing, as runtimes do."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError:
        pass  # a read-only root: chdir gives the better error
    os.chdir(path)


def _use(streams: Sequence[int]) -> None:
    for target, fd in enumerate(streams):
        os.dup2(fd, target)


def attach_terminal(console: socket.socket) -> None:
    """Open a terminal for the container, take it over, and send its other end through ``console``."""
    main = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(main, TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(main, TIOCGPTN, struct.pack("i", 0)))[0]
    end = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    socket.send_fds(console, [b"!"], [main])
    fcntl.ioctl(end, termios.TIOCSCTTY, 0)
    _use([end, end, end])


def execute(argv: Sequence[str], env: dict[str, str]) -> None:
    """Become the program; never returns.

    Raises:
        FileNotFoundError, PermissionError: worded as in other runtimes.
    """
    for candidate in _candidates(argv[0], env.get("PATH", SHELL_PATH)):
        try:
            os.execve(candidate, list(argv), env)
        except (FileNotFoundError, NotADirectoryError):
            continue
    reason = "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
    raise FileNotFoundError(0, f'exec: "{argv[0]}": {reason}')


def _candidates(name: str, path: str) -> list[str]:
    return [name] if "/" in name else [os.path.join(folder or ".", name) for folder in path.split(":")]


def _spawn(join: Callable[[], None], flags: int, prepare: Callable[[], None], run: Callable[[], None]) -> Launch:
    """Start a child of the shim in namespaces that the shim is not in.

    A helper enters the existing ones with ``join`` and makes the new ones (``flags``) together with the child, as the child's
    sibling. The child does ``prepare`` and ``run``.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    numbers, number = os.pipe2(os.O_CLOEXEC)
    helper = os.fork()
    if helper == 0:
        os.close(reader)
        _reporting(writer, lambda: _clone(join, flags, prepare, run, number, writer))
        os._exit(NOT_FOUND)
    os.close(writer)
    os.close(number)
    with os.fdopen(numbers, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(helper, 0)
    return Launch(int(answer or 0), reader)


def _clone(
    join: Callable[[], None], flags: int, prepare: Callable[[], None], run: Callable[[], None], number: int, writer: int
) -> None:
    join()
    pid = syscalls.clone(flags | syscalls.CLONE_PARENT)
    if pid:
        os.write(number, str(pid).encode())
        os._exit(0)
    os.close(number)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    _forget_signals()
    os.setsid()
    prepare()
    # A change of user cancels it.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if run is _pause:
        _close_inherited()
    run()


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except OSError:
            pass  # reserved by the C library
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _close_inherited() -> None:
    """Close the shim's files in a child that stays a process of its program."""
    null = os.open(os.devnull, os.O_RDWR)
    _use([null, null, null])
    os.closerange(3, 1 << 16)


def _reporting(writer: int, call: Callable[[], None]) -> None:
    try:
        call()
    except OSError as error:
        os.write(writer, str(error.strerror or error).encode()[:REPORT])
    except Exception as error:  # no one else can report it
        os.write(writer, repr(error).encode()[:REPORT])
