"""Start JupyterLab on the learner's copies, say where it is in one block, and stay until it ends."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from labs import config
from labs.course import servers
from labs.course.execute import kernel_environment
from labs.errors import MachineError
from labs.paths import Paths
from labs.waiting import wait_until

SETTINGS = Path(__file__).parent / "jupyter"
READY_TIMEOUT = 60.0
"""Seconds for JupyterLab to listen; on a machine that is busy its imports alone take twenty."""
AGAIN_WITHIN = 5.0
"""Seconds within which a second Ctrl-C ends JupyterLab: the first may be a slip, and on stage it would be a sad one."""


def start(port: int, page: Path) -> subprocess.Popen[bytes]:
    """Start a server that listens on 127.0.0.1 only and asks for its token. Its log is ``.lab/logs/jupyterlab.log``."""
    options = [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={config.ROOT}",
        f"--ServerApp.preferred_dir={page.parent}",
        f"--LabApp.default_url=/lab/tree/{page.relative_to(config.ROOT)}",
        "--LabApp.custom_css=True",
        f"--ServerApp.tornado_settings=static_custom_path={SETTINGS / 'custom'}",
    ]
    if os.geteuid() == 0:
        # Jupyter refuses root by default; in a container or a sandbox root may be the only user.
        options.append("--allow-root")
    command = [sys.executable, "-I", "-m", "jupyter", "lab", *options]
    log().parent.mkdir(parents=True, exist_ok=True)
    with log().open("wb") as output:
        # Its own session: Ctrl-C reaches it through us alone.
        return subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def log() -> Path:
    return Paths.current().log("jupyterlab")


def environment() -> dict[str, str]:
    """A kernel's environment, with JupyterLab's settings for the course."""
    paths = [str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return kernel_environment() | {"JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


def wait_until_ready(process: subprocess.Popen[bytes]) -> Mapping[str, Any]:
    """Jupyter's note of the server, once it listens.

    Raises:
        MachineError: it ended, or did not listen in time; the message has the end of its log.
    """

    def noted() -> Mapping[str, Any] | bool | None:
        return process.poll() is not None or next((s for s in servers.running() if s["pid"] == process.pid), None)

    found = wait_until(noted, READY_TIMEOUT)
    if not isinstance(found, Mapping):
        last = log().read_text(errors="replace").strip().splitlines()[-3:]
        raise MachineError(f"expected JupyterLab to start; it says: {' / '.join(last) or 'nothing'}", fix=f"less {log()}")
    return found


def announce(server: Mapping[str, Any], lines: Sequence[str], *, open_browser: bool) -> None:
    """Print one block, with the URL in its last line, and open it in a browser."""
    url = f"{server['url']}lab?token={server['token']}"
    for line in [*lines, f"  {url}"]:
        click.echo(line)
    if open_browser:
        webbrowser.open(url)


def stay(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of the server: by *File → Shut Down*, by ``lab stop``, or by Ctrl-C twice. Its exit code."""
    before = signal.signal(signal.SIGINT, _Slip(process))
    try:
        return max(process.wait(), 0)  # ended by a signal of ``lab stop``: no failure
    finally:
        signal.signal(signal.SIGINT, before)


class _Slip:
    """What Ctrl-C does: the first one may be a slip, the second ends the server."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.last = -math.inf

    def __call__(self, _number: int, _frame: object) -> None:
        now = time.monotonic()
        if now - self.last < AGAIN_WITHIN:
            self.process.terminate()
            click.echo("JupyterLab ends. The clusters stay as they are: lab status")
        else:
            click.echo(f"Press Ctrl-C again within {AGAIN_WITHIN:.0f} s to end JupyterLab. Notebooks then lose their variables.")
        self.last = now
