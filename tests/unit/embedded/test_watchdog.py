"""What the watchdog leaves of a process tree when the supervisor is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.waiting import eventually

TREE = """
import os, subprocess, sys, time
from labs.embedded.watchdog import run_under_watchdog

def body():
    # An orphan in a session of its own: its parent ends at once.
    subprocess.run(["sh", "-c", "setsid sleep 300 & echo $! > orphan"])
    child = subprocess.Popen(["sleep", "300"])
    open("draft", "w").write(f"{os.getpid()} {child.pid} " + open("orphan").read())
    os.rename("draft", "pids")
    time.sleep(300)

sys.exit(run_under_watchdog(body) and 1)
"""


def test_nothing_survives_a_killed_supervisor(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    watchdog = subprocess.Popen([sys.executable, "-c", TREE], cwd=tmp_path, env=environment)
    eventually((tmp_path / "pids").exists, 20, every=0.05)
    supervisor, *others = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(others) == 2 and all(psutil.pid_exists(pid) for pid in others)
    os.kill(supervisor, signal.SIGKILL)
    assert watchdog.wait(10) == 1
    assert not any(psutil.pid_exists(pid) for pid in [supervisor, *others])
