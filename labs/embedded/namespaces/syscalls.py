"""The system calls around namespaces that Python 3.11's ``os`` does not have. Standard library only: small processes use it."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PARENT = 0x00008000
SIGCHLD = 17

KINDS = {
    "user": CLONE_NEWUSER,
    "mnt": CLONE_NEWNS,
    "net": CLONE_NEWNET,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "pid": CLONE_NEWPID,
}
"""Name under ``/proc/PID/ns`` → flag."""

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

SYS_CLONE = {"x86_64": 56, "aarch64": 220}
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

libc = ctypes.CDLL(None, use_errno=True)
_MACHINE = os.uname().machine


def check(result: int, what: str) -> int:
    """Return ``result`` unless it says that the call ``what`` failed.

    Raises:
        OSError: it did; the message names the call.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    check(libc.unshare(ctypes.c_int(flags)), f"unshare({names(flags)})")


def setns(fd: int, flag: int = 0) -> None:
    check(libc.setns(ctypes.c_int(fd), ctypes.c_int(flag)), f"setns({names(flag)})")


def names(flags: int) -> str:
    """``user, net`` for the flags of a user and a network namespace."""
    return ", ".join(name for name, flag in KINDS.items() if flags & flag)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); ``kind`` is the file system's name."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    check(libc.mount(*arguments), f"mount {kind or 'flags'} {source} on {target}")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    check(libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    number = SYS_PIVOT_ROOT[_MACHINE]
    check(libc.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old)), f"pivot_root {new}")


def clone(flags: int) -> int:
    """fork(2) into new namespaces, or as a sibling (CLONE_PARENT); 0 in the child. Only for processes with one thread."""
    zero = ctypes.c_long(0)
    number = ctypes.c_long(SYS_CLONE[_MACHINE])
    return check(libc.syscall(number, ctypes.c_long(flags | SIGCHLD), zero, zero, zero, zero), f"clone({names(flags)})")


def prctl(option: int, value: int = 0, third: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    result = libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(third), zero, zero)
    check(result, f"prctl({option}, {value})")
