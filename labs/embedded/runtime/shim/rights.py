"""What a container's program may do: its user, its capabilities, and system calls that only pretend to work."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

from labs.embedded.namespaces import identity, syscalls
from labs.embedded.runtime.spec import Container, User

CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
"""By number, from 0 (linux/capability.h)."""
CAPABILITY_VERSION = 0x20080522
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CHOWN = {"x86_64": (92, 93, 94, 260), "aarch64": (54, 55)}
"""System calls that change a file's owner: chown, fchown, lchown, fchownat, as far as the architecture has them."""
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, PRETEND = 0x7FFF0000, 0x00050000


def number(capability: str) -> int | None:
    """The number of ``CAP_CHOWN`` or ``chown``; None for an unknown name."""
    name = capability.upper().removeprefix("CAP_")
    return CAPABILITIES.index(name) if name in CAPABILITIES else None


def become(container: Container) -> None:
    """The last step before the program: switch to its user and drop all rights it should not have."""
    if container.processes:
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        limit = container.processes if hard == resource.RLIM_INFINITY else min(container.processes, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    many = identity.knows_many()
    if not many:
        take_user(container.user)
        pretend_chown()
    if not container.privileged:
        limit_capabilities(container.capabilities)
    if many:
        switch_user(container.user)
    if container.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def take_user(user: User) -> None:
    """Look like ``user`` if there is only one: the container's own user namespace gives that one another number."""
    if not user.uid and not user.gid:
        return
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    identity.write_maps("self", [identity.Range(user.uid, 0)], [identity.Range(user.gid, 0)])


def switch_user(user: User) -> None:
    """Become ``user`` if the namespace has many."""
    os.setgroups(sorted({user.gid, *user.groups}))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def limit_capabilities(allowed: tuple[str, ...]) -> None:
    """Limit this process, and anything it becomes, to the capabilities in ``allowed``."""
    keep = {number(name) for name in allowed}
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(_last_capability() + 1):
        if capability not in keep:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
    _clear_inheritable()


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def _clear_inheritable() -> None:
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    head = ctypes.create_string_buffer(header, len(header))
    syscalls.check(syscalls.libc.capget(head, data), "capget")
    words = list(struct.unpack("6I", data.raw))
    words[2] = words[5] = 0
    packed = ctypes.create_string_buffer(struct.pack("6I", *words), 24)
    syscalls.check(syscalls.libc.capset(head, packed), "capset")


def pretend_chown() -> None:
    """Let every change of a file's owner succeed without doing anything: there is no other user to give it to."""
    program = _filter(os.uname().machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    head = ctypes.create_string_buffer(header, len(header))
    syscalls.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(head))


def _filter(machine: str) -> bytes:
    """A seccomp program in the kernel's classic BPF: other architectures' calls and all but CHOWN's pass."""

    def instruction(code: int, value: int, matches: int = 0, differs: int = 0) -> bytes:
        return struct.pack("HBBI", code, matches, differs, value)

    calls = CHOWN[machine]
    lines = [
        instruction(LOAD, 4),  # offset of the architecture in struct seccomp_data
        instruction(EQUAL, ARCHITECTURE[machine], matches=1),
        instruction(RETURN, ALLOW),
        instruction(LOAD, 0),  # offset of the system call's number
    ]
    lines += [instruction(EQUAL, call, matches=len(calls) - index) for index, call in enumerate(calls)]
    return b"".join([*lines, instruction(RETURN, ALLOW), instruction(RETURN, PRETEND)])
