"""Envoy as the launcher's child."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from labs.pods.mesh_standin import small_http
from labs.pods.mesh_standin.envoy_config import ADMIN_SOCKET, bootstrap
from labs.wire import parent

ARGUMENTS = (
    "--concurrency",
    "1",
    "--disable-hot-restart",
    # Replaced listeners close at once: no connection outlives the policy it was opened under.
    "--drain-time-s",
    "1",
    "--drain-strategy",
    "immediate",
    "--log-level",
    "warning",
    "--file-flush-interval-msec",
    "250",
)
ADMIN_TIMEOUT = 2.0
"""Seconds."""


def start(identity: str, anchors: str) -> subprocess.Popen[bytes]:
    """Start Envoy in the current folder, with the access log on its standard output; it ends with code 127 if there is none."""
    alive_with_us = [sys.executable, "-S", "-P", parent.__file__, str(os.getpid())]
    command = [*alive_with_us, os.environ["ENVOY"], "--config-yaml", json.dumps(bootstrap(identity, anchors)), *ARGUMENTS]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def admin(path: str) -> tuple[int, str]:
    """Status and text of one GET to Envoy's admin socket in the current folder.

    Raises:
        OSError: Envoy does not listen.
        ValueError: the answer is not HTTP.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ADMIN_TIMEOUT)
        connection.connect(ADMIN_SOCKET)
        status, body = small_http.get(connection, path, "envoy")
        return status, b"".join(body).decode()


def is_live() -> bool:
    """Whether Envoy has read its whole configuration and serves."""
    try:
        return admin("/ready")[0] == 200
    except OSError:
        return False
