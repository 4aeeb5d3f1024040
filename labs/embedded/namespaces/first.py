"""The first process of a lab's namespaces: ``python -m labs.embedded.namespaces.first RECORD PROGRAM ARG…``.

Two processes. The outer one waits, and sees the machine's files and processes as before. The inner one is number 1 of the lab's
PID namespace: it runs PROGRAM, and when it ends, for any reason, the kernel kills every process of the lab.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from labs.embedded.namespaces import identity, links, syscalls
from labs.wire.parent import die_with_parent

NEW = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC


def make(record: Path, argv: list[str]) -> int:
    """Run ``argv`` in namespaces of its own; returns its exit code (128 + the signal's number when killed).

    ``record`` is a file that says which process to join while there is one.

    Raises:
        OSError: this machine does not permit it; ``detect.unsupported_reason`` says why.
    """
    identity.enter_new(NEW)
    ready, tell = os.pipe()
    outside = os.getpid()
    inner = os.fork()
    if inner == 0:
        os.close(ready)
        _become_first(argv, tell, outside)
    os.close(tell)
    os.read(ready, 1)
    _write(record, inner)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(inner, number))
    try:
        _, status = os.waitpid(inner, 0)
    finally:
        record.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _write(record: Path, pid: int) -> None:
    draft = record.with_name(f".{record.name}.tmp")
    draft.write_text(json.dumps({"pid": pid, "started": started(pid)}))
    draft.rename(record)


def started(pid: int) -> str:
    """When a process began, in clock ticks since boot: together with the number it identifies a process permanently.

    Raises:
        OSError: there is none.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(f"process {pid} has ended")
    return fields[19]


def _become_first(argv: list[str], tell: int, outside: int) -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Only here: the outer process keeps seeing the machine's process numbers.
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    links.loopback_up()
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    os.write(tell, b"!")
    os.close(tell)
    os._exit(_run(argv))


def _run(argv: list[str]) -> int:
    """Run ``argv``; meanwhile collect every orphan of the lab, as process 1 must."""
    main = os.fork()
    if main == 0:
        die_with_parent(1)()
        os.execvp(argv[0], argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(main, number))
    while True:
        pid, status = os.wait()
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(make(Path(sys.argv[1]), sys.argv[2:]))
