"""The JupyterLab servers that ``lab start`` has opened on this checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from jupyter_server.serverapp import list_running_servers

from labs import config

STOP_TIMEOUT = 10.0
"""Seconds for a server to end its kernels and itself."""


def running() -> list[Mapping[str, Any]]:
    """What Jupyter has noted of each server: among others ``pid``, ``url`` and ``root_dir``."""
    return [server for server in list_running_servers() if _is_ours(server)]


def _is_ours(server: Mapping[str, Any]) -> bool:
    """Whether it serves this checkout; the note of a server that was killed may name another program's number."""
    if Path(server["root_dir"]).resolve() != config.ROOT.resolve():
        return False
    try:
        return any("jupyter" in word for word in psutil.Process(server["pid"]).cmdline())
    except psutil.Error:
        return False


def contains_us(server: Mapping[str, Any]) -> bool:
    """Whether this command runs in a terminal or a notebook of the server: that one cannot be ended from inside."""
    return os.environ.get("JPY_PARENT_PID") == str(server["pid"]) or os.environ.get("JUPYTER_SERVER_URL") == server["url"]


def stop_all() -> list[str]:
    """End every server but one that contains us; a line about each."""
    return [_stop(server) for server in running()]


def _stop(server: Mapping[str, Any]) -> str:
    if contains_us(server):
        return f"JupyterLab at {server['url']} keeps running, because this command runs inside it (to end it: File, Shut Down)"
    process = psutil.Process(server["pid"])
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except psutil.TimeoutExpired:
        process.kill()
    return f"stopped JupyterLab at {server['url']}"
