"""The launcher's log lines, in the format of the rest of the mesh: ``logging`` would cost each proxy 0.7 MB."""

from __future__ import annotations

import sys
import time


def info(text: str) -> None:
    _say("INFO", text)


def warning(text: str) -> None:
    _say("WARNING", text)


def plain(text: str) -> None:
    """A line without time and level, for the access log, which has its own."""
    sys.stderr.write(f"{text}\n")


def _say(level: str, text: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    # One write per line: several threads log.
    sys.stderr.write(f"[{stamp},{int(now * 1000) % 1000:03d}]  {level} linkerd_proxy: {text}\n")
