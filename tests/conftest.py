"""For every test: how properties are tried and programs found. And fixtures for tests that need the running lab."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from hypothesis import settings

from labs import config
from labs.clusters.base import Cluster
from labs.embedded import control

# A loaded machine is slow, not wrong.
settings.register_profile("lab", deadline=None)
settings.load_profile("lab")

# gRPC's handlers of fork() abort now and then in the child. `sh` forks, but its child becomes another program and needs none.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# A shell's background job, as a test run may be, ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As in a pod: the environment's programs (envoy) are found although nobody has activated it.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

Kubectl = Callable[..., str]
Found = TypeVar("Found")


def lab_command(*args: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the ``lab`` command of this checkout."""
    command = [sys.executable, "-m", "labs.cli", *args]
    return subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def eventually(look: Callable[[], Found], seconds: float = 30, *, holds: Callable[[Found], Any] = bool) -> Found:
    """What ``look()`` finds as soon as that ``holds``; fails after so many seconds with what was found last."""
    deadline = time.monotonic() + seconds
    while not holds(found := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s still {found!r}"
        time.sleep(0.25)
    return found


def processes_of(pod: dict[str, Any], container: str) -> list[psutil.Process]:
    """The processes of a container on this machine, the oldest first: by the root folder that each got as a variable."""
    root = f"/pods/{pod['metadata']['uid']}/containers/{container}/root"
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CONTAINER_ROOT", "").endswith(root):
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: process.create_time())


@pytest.fixture(scope="session")
def lab_up() -> Iterator[None]:
    """The lab of this checkout runs: one that was up stays up afterwards, else it goes down again."""
    found = control.identity()
    control.refuse_other(found)
    result = lab_command("up", "--backend", "embedded")
    assert result.returncode == 0, result.stderr
    yield
    if found is None:
        lab_command("down")


@pytest.fixture(scope="session")
def kubectl(lab_up: None) -> Kubectl:
    """``kubectl(context, *args, input=None)`` → what it printed; CommandFailed if it exits with an error."""

    def run(context: str, *args: str, input: str | None = None, timeout: float = 60) -> str:
        return Cluster(context).kubectl(*args, input=input, timeout=timeout)

    return run


@contextlib.contextmanager
def new_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace in the app cluster for the length of a block."""
    name = f"test-{secrets.token_hex(3)}"
    kubectl("app", "create", "namespace", name)
    # Pods are refused until the controller has made the namespace's service account.
    kubectl("app", "wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=20s")
    try:
        yield name
    finally:
        kubectl("app", "delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own in the app cluster."""
    with new_namespace(kubectl) as name:
        yield name
