"""What ``lab up`` does on the embedded backend, step by step."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from labs import config, errors
from labs.embedded import boot, control, pki, plan, ports, programs
from labs.embedded.certificates import write_private
from labs.steps import Action, Progress, Step

POLL = 0.1


def steps(timeout: float) -> list[Step]:
    """The steps of ``lab up``; ``timeout`` in seconds bounds each wait."""
    fresh = not config.KUBECONFIG.exists()
    return [
        Action("Programs", lambda progress: programs.ensure(progress)),
        Action("Keys and kubeconfig", lambda _: prepare_state(), remove_state if fresh else _nothing),
        Action("Supervisor", lambda _: start_supervisor(timeout), stop_supervisor),
        *look(timeout),
    ]


def look(timeout: float) -> list[Step]:
    """The steps that only wait and apply: what ``lab up`` does when the lab runs already."""
    return [
        Action("Control planes", lambda progress: wait_for_control_planes(timeout, progress)),
        Action("Cluster objects", lambda progress: boot.apply(timeout, progress)),
        Action("Nodes", lambda progress: boot.wait_for_nodes(timeout, progress)),
    ]


def _nothing() -> None:
    return None


def prepare_state() -> None:
    """Make ``.lab``: keys (kept when they exist), kubeconfig, the control endpoint's token, wrappers of command-line tools."""
    for folder in (config.STATE, config.LOGS, config.BIN, config.STATE / "etcd"):
        folder.mkdir(exist_ok=True, mode=0o700)
    link_state()
    if not pki.exists():
        pki.create()
    pki.write_kubeconfigs()
    write_private(control.TOKEN_FILE, secrets.token_urlsafe(32).encode())
    boot.write_kubectl()
    boot.link_manifests()
    programs.link_prometheus()


def link_state() -> None:
    """Make the link that ``config.plain_state`` may name."""
    link = config.plain_state()
    if link != config.STATE and not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(config.STATE)


def remove_state() -> None:
    shutil.rmtree(config.STATE, ignore_errors=True)
    shutil.rmtree(config.run_dir(), ignore_errors=True)


def start_supervisor(timeout: float) -> None:
    """Start the supervisor as a process of its own session and wait until it answers.

    Raises:
        AddressTaken: something else listens where the lab must.
    """
    ports.require_free(plan.listeners())
    with config.log_path("supervisor").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "labs.embedded.supervisor"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=config.ROOT,
            env=os.environ | {"PYTHONPATH": str(config.ROOT)},
        )  # fmt: skip

    def answers() -> bool:
        if process.poll() is not None:
            raise errors.StepFailed("Supervisor", f"it ended with exit code {process.returncode}", fix="lab logs supervisor")
        return control.identity() is not None

    wait_until(answers, timeout, lambda: "the supervisor does not answer")


def stop_supervisor(grace: float = 12.0) -> None:
    """Stop the supervisor of this checkout with all its children; kill it if it takes longer than ``grace`` seconds."""
    found = control.identity()
    if found is None or not found.is_ours:
        return
    control.stop()
    deadline = time.monotonic() + grace
    while control.identity() is not None or _alive(found.pid):
        if time.monotonic() > deadline:
            # Its watchdog sees to the children.
            os.kill(found.pid, signal.SIGKILL)
            deadline += grace
        time.sleep(POLL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_control_planes(timeout: float, progress: Progress) -> None:
    """Until every API server says it is ready."""
    names = ["etcd", *(f"{cluster.name}/kube-apiserver" for cluster in plan.clusters())]

    def missing() -> list[str]:
        rows = {row["name"]: row for row in control.status()["children"]}
        return [f"{name} ({_state(rows[name])})" for name in names if rows[name]["state"] != "running"]

    wait_for_none(missing, timeout, progress)


def _state(row: dict[str, object]) -> str:
    return f"{row['state']}, {row['last_exit']}" if row["last_exit"] else str(row["state"])


def wait_for_none(missing: Callable[[], Sequence[str]], timeout: float, progress: Progress) -> None:
    """Poll until ``missing()`` is empty, saying what is.

    Raises:
        TimedOut: after ``timeout`` seconds, with what was still missing.
    """
    left: Sequence[str] = ()

    def done() -> bool:
        nonlocal left
        left = missing()
        if left:
            progress.note("waiting for " + ", ".join(left))
        return not left

    wait_until(done, timeout, lambda: f"still waiting for {', '.join(left)}")


def wait_until(condition: Callable[[], bool], timeout: float, describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise errors.TimedOut(f"{describe()} after {timeout:.0f} s", fix="lab status; lab logs NAME")
        time.sleep(POLL)
