"""A proxy's subscription to the destination service."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

from labs.pods.mesh_standin import launcher_log as log
from labs.pods.mesh_standin import small_http
from labs.pods.mesh_standin.proxy_config import Update
from labs.pods.mesh_standin.settings import Settings

IDLE_TIMEOUT = 30.0
"""Seconds without even a heartbeat after which the stream counts as dead."""
RETRY_AFTER = 1.0


def follow(settings: Settings, on_update: Callable[[Update], None]) -> None:
    """Pass on every update, for ever; while the service is gone there are no calls and the proxy keeps what it has."""
    reachable = True
    while True:
        try:
            for update in updates(settings):
                reachable = True
                on_update(update)
        except (OSError, ValueError) as error:
            if reachable:
                log.warning(f"no configuration from {settings.destination_address}: {error}; keeping the last one")
            reachable = False
        time.sleep(RETRY_AFTER)


def updates(settings: Settings) -> Iterator[Update]:
    """One stream's updates until it ends.

    Raises:
        OSError, ValueError: it could not be opened or broke.
    """
    target = f"http://{settings.destination_address}/v1/config?namespace={settings.namespace}&pod={settings.pod}"
    with socket.create_connection(settings.cluster_proxy, timeout=IDLE_TIMEOUT) as connection:
        status, body = small_http.get(connection, target, settings.destination_address)
        if status != 200:
            raise ValueError(f"answered {status}")
        for line in small_http.lines(body):
            if line.strip():
                yield json.loads(line)
