"""For every test: how properties are tried and programs found. And fixtures for tests that need the running lab."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from labs.clusters.base import Cluster
from labs.embedded import control
from tests.support.lab import Kubectl, lab_command, new_namespace

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


@pytest.fixture(scope="session")
def lab_up() -> Iterator[None]:
    """The lab of this checkout runs: one that was up stays up afterwards, else it goes down again."""
    found = control.identity()
    control.refuse_other()
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


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own in the app cluster."""
    with new_namespace(kubectl) as name:
        yield name
