"""Client of the supervisor's control endpoint: a Unix socket that only its owner may open.

The socket is outside ``.lab`` since its path must be short. Labs on one loopback interface would
use the same addresses, so before one starts it looks at the sockets of all labs of this user.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs import errors, record
from labs.paths import Paths

SOCKET = "control.sock"
REQUEST_TIMEOUT = 10.0
"""Seconds until a supervisor counts as hung; on a machine that compiles or swaps, answers may take several."""


@dataclass(frozen=True)
class Identity:
    """Which lab a supervisor runs. ``network`` identifies the network namespace it listens in."""

    checkout: Path
    state: Path
    pid: int
    network: int

    @property
    def is_ours(self) -> bool:
        return self.state == Paths.current().state


def socket_path() -> Path:
    """The socket of this checkout's supervisor."""
    return Paths.current().run_dir() / SOCKET


def network() -> int:
    """The network namespace of this process, as the kernel numbers it."""
    return Path("/proc/self/ns/net").stat().st_ino


def identity() -> Identity | None:
    """The supervisor of this checkout; None if none runs.

    Raises:
        TimedOut: one runs but does not answer.
    """
    return _ask(socket_path())


def others() -> Iterator[Identity]:
    """The supervisors of this user's other labs whose addresses collide with ours."""
    for path in sorted(socket_path().parent.parent.glob(f"*/{SOCKET}")):
        try:
            found = _ask(path)
        except errors.TimedOut:
            continue  # its owner is unknown
        if found and not found.is_ours and found.network == network():
            yield found


def require() -> Identity:
    """The supervisor of this checkout.

    Raises:
        NotRunning: there is none.
        TimedOut: there is one, but it does not answer.
        OtherLabRunning: another checkout's lab runs instead.
    """
    found = identity()
    if found is None:
        refuse_other()
        raise record.not_running()
    return found


def refuse_other() -> None:
    """Raise OtherLabRunning if the lab of another checkout uses the addresses of this one."""
    for found in others():
        raise errors.OtherLabRunning(
            f"the lab of another checkout runs on this machine: {found.checkout} (process {found.pid})",
            fix=f"'{found.checkout}/scripts/lab' stop, then the same command again",
        )


def status() -> dict[str, Any]:
    """``{"pid", "started", "children": [{"name", "state", "pid", "restarts", "last_exit"}]}``"""
    require()
    found: dict[str, Any] = _request("GET", "/children")
    return found


def stop() -> None:
    """Ask the supervisor to stop all children and itself; returns at once."""
    require()
    _request("POST", "/stop")


def reload() -> None:
    """Ask the supervisor to read ``.lab/lab.json`` again: it starts new children and stops removed ones.

    Returns when the old ones have stopped; the new ones are starting.
    """
    require()
    _request("POST", "/reload", timeout=60)


def restart(name: str) -> None:
    """End child ``name`` with SIGTERM and start it again at once."""
    require()
    _request("POST", "/children/restart", {"name": name})


def kill(name: str, signal: int = 9) -> int | None:
    """Send ``signal`` to child ``name``; it comes back after its back-off. Returns the pid that got it."""
    require()
    pid: int | None = _request("POST", "/children/kill", {"name": name, "signal": signal})["pid"]
    return pid


def _ask(path: Path) -> Identity | None:
    """The supervisor that answers on this socket; None if nothing listens there.

    Raises:
        TimedOut: a process listens but does not answer.
    """
    try:
        body = _request("GET", "/identity", path=path)
        return Identity(Path(body["checkout"]), Path(body["state"]), body["pid"], body["network"])
    except (errors.NotRunning, OSError, ValueError, KeyError):
        return None


def _request(method: str, url: str, body: Any = None, *, path: Path | None = None, timeout: float | None = None) -> Any:
    timeout = REQUEST_TIMEOUT if timeout is None else timeout
    connection = _UnixConnection(path or socket_path(), timeout)
    try:
        connection.request(method, url, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    except (TimeoutError, BlockingIOError) as error:  # the latter: its queue of waiting clients is full
        raise _no_answer(f"{method} {url}", timeout, connection.server) from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise errors.NotRunning(
            f"expected the supervisor to answer {method} {url}; found that it has ended ({error!r})",
            fix="lab status; lab logs supervisor",
        ) from error
    finally:
        connection.close()
    if response.status == 404:
        raise errors.LabError(text, fix="lab status")
    if response.status >= 400:
        raise errors.LabError(f"the supervisor answered {response.status}: {text}", fix="lab logs supervisor")
    return json.loads(text)


def _no_answer(question: str, timeout: float, server: int | None) -> errors.TimedOut:
    who = f"the supervisor (process {server})" if server else "the supervisor"
    last_resort = f"; if it stays so: kill -9 {server}, then the same command again" if server else ""
    return errors.TimedOut(
        f"expected {who} to answer {question} within {timeout:g} s; found no answer",
        fix=f"lab status; lab logs supervisor{last_resort}",
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self.server: int | None = None
        """The process that listens at the other end, once connected."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        credentials = struct.Struct("3i")  # pid, uid, gid: unix(7)
        self.server = credentials.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))[0]
