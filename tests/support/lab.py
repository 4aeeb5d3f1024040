"""The lab as integration tests use it: its command, a namespace of one's own, the processes of a pod."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from labs import config

Kubectl = Callable[..., str]
"""``kubectl(context, *args, input=None)`` → what it printed."""


def lab_command(*args: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the ``lab`` command of this checkout."""
    command = [sys.executable, "-m", "labs.cli", *args]
    return subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, timeout=timeout, check=False)


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
