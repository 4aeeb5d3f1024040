"""A machine that forbids namespaces is told apart, with the reason and the line that changes it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from labs.embedded.namespaces import detect
from tests.unit.namespaces.conftest import Inside, needs_namespaces


def refused() -> None:
    raise OSError(errno.EPERM, "unshare(user): Operation not permitted")


@pytest.mark.parametrize(
    ("path", "content", "reason", "fix"),
    [
        ("sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("sys/kernel/unprivileged_userns_clone", "0\n", "reserves", "kernel.unprivileged_userns_clone=1"),
        ("sys/user/max_user_namespaces", "0\n", "user namespaces are disabled", "user.max_user_namespaces=15000"),
        ("sys/user/max_net_namespaces", "0\n", "net namespaces are disabled", "user.max_net_namespaces=15000"),
        ("self/status", "Name:\tx\nSeccomp:\t2\n", "seccomp", "seccomp=unconfined"),
    ],
)
def test_the_switch_that_forbids_it_is_named(tmp_path: Path, path: str, content: str, reason: str, fix: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(content)
    found = detect.unsupported_reason(refused, tmp_path)
    assert found is not None
    assert reason in found.reason
    assert fix in found.fix
    assert str(found).startswith("unshare(user): Operation not permitted")


def test_switches_that_permit_are_not_blamed(tmp_path: Path) -> None:
    for switch, content in (("sys/user/max_user_namespaces", "96365"), ("self/status", "Seccomp:\t0\n")):
        (tmp_path / switch).parent.mkdir(parents=True)
        (tmp_path / switch).write_text(content)
    found = detect.unsupported_reason(refused, tmp_path)
    assert found == detect.UnsupportedReason("unshare(user): Operation not permitted", detect.UNKNOWN, "")


def test_a_set_switch_alone_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / "sys/user").mkdir(parents=True)
    (tmp_path / "sys/user/max_user_namespaces").write_text("0")
    assert detect.unsupported_reason(lambda: None, tmp_path) is None, "what works, works"


def test_an_attempt_that_crashes_is_a_reason(tmp_path: Path) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    found = detect.unsupported_reason(crash, tmp_path)
    assert found is not None
    assert "ZeroDivisionError" in found.step


def test_the_attempt_leaves_this_process_where_it_is() -> None:
    before = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "net", "mnt", "pid")]
    detect.unsupported_reason()
    assert [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "net", "mnt", "pid")] == before


@needs_namespaces
@pytest.mark.parametrize("kind", ["user", "net"])
def test_the_kernels_own_switch(python: Inside, kind: str) -> None:
    """A user namespace may lower the limits of those below it: the real answer, without touching the machine."""
    said = python(f"""
        from labs.embedded.namespaces import detect, identity, syscalls
        identity.enter_new(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        import os
        if os.fork() == 0:
            syscalls.mount("proc", "/proc", "proc")
            open("/proc/sys/user/max_{kind}_namespaces", "w").write("0")
            print(detect.unsupported_reason(), flush=True)
            os._exit(0)
        os.wait()
    """)
    assert "No space left on device" in said
    assert f"{kind} namespaces are disabled" in said


@needs_namespaces
def test_namespaces_in_namespaces(python: Inside) -> None:
    said = python("""
        from labs.embedded.namespaces import detect, identity
        identity.enter_new(0)
        print(detect.unsupported_reason())
    """)
    assert said == "None"
