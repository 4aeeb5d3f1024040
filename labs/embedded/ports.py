"""Whether the lab's addresses are free, and who holds those that are not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import psutil

from labs import errors


def require_free(listeners: Iterable[tuple[str, int, str]]) -> None:
    """Check that nothing listens at any of ``(host, port, what for)``.

    Raises:
        AddressTaken: names the first address that is taken, and the process that holds it if visible.
    """
    for host, port, purpose in listeners:
        if not is_free(host, port):
            pid = holder(host, port)
            raise errors.AddressTaken(
                f"expected {host}:{port} to be free for {purpose}; found {describe(pid)} listening there",
                fix=f"kill {pid}, then the same command again" if pid else f"ss -ltnp 'sport = :{port}'",
            )


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def holder(host: str, port: int) -> int | None:
    """The process that listens at ``host:port``; None if this user may not see it."""
    for connection in psutil.net_connections("tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        if connection.laddr.ip in (host, "0.0.0.0", "::"):
            return connection.pid
    return None


def describe(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return f"process {pid} ({' '.join(process.cmdline()[:4]) or process.name()})"
    return f"process {pid}"
