"""Ending a lab of layout 1, whose supervisor listened on a loopback port that later versions do not use."""

from __future__ import annotations

import psutil

from labs import config, waiting
from labs.embedded import ports
from labs.paths import Paths

HOST, PORT = "127.10.0.250", 7070
STOP_TIMEOUT = 30.0


def stop_supervisor() -> None:
    """End the supervisor of this checkout if ``.lab`` has layout 1 and it is running; it ends its children first."""
    if not (Paths.current().state / "control-token").exists():
        return
    process = _supervisor()
    if process is None:
        return
    process.terminate()
    if not waiting.wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, STOP_TIMEOUT):
        # Its watchdog ends what is left.
        process.kill()
    waiting.wait_until(lambda: ports.is_free(HOST, PORT), STOP_TIMEOUT)


def _supervisor() -> psutil.Process | None:
    pid = ports.holder(HOST, PORT)
    if pid is None:
        return None
    process = psutil.Process(pid)
    ours = "labs.embedded.supervisor" in process.cmdline() and process.cwd() == str(config.ROOT)
    return process if ours else None
