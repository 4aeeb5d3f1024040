"""Client of the supervisor's control endpoint."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs import config, errors
from labs.embedded import plan

TOKEN_FILE = config.STATE / "control-token"
TIMEOUT = 3.0


@dataclass(frozen=True)
class Identity:
    """Whose supervisor answers on this machine."""

    checkout: Path
    state: Path
    pid: int

    @property
    def is_ours(self) -> bool:
        return self.state == config.STATE


def identity() -> Identity | None:
    """Who runs a lab on this machine; None if nobody does."""
    try:
        body = _request("GET", "/identity")
        return Identity(Path(body["checkout"]), Path(body["state"]), body["pid"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None


def require() -> Identity:
    """The supervisor of this checkout.

    Raises:
        NotRunning: there is none.
        OtherLabRunning: another checkout's lab runs instead.
    """
    found = identity()
    if found is None:
        raise errors.NotRunning("no lab is up in this checkout", fix="lab up")
    refuse_other(found)
    return found


def refuse_other(found: Identity | None) -> None:
    """Raise OtherLabRunning if ``found`` belongs to another checkout: both would use the same addresses."""
    if found and not found.is_ours:
        raise errors.OtherLabRunning(
            f"the lab of another checkout runs on this machine: {found.checkout} (process {found.pid})",
            fix=f"'{found.checkout}/scripts/lab' stop, then the same command again",
        )


def status() -> dict[str, Any]:
    """``{"pid", "started", "children": [{"name", "state", "pid", "restarts", "last_exit"}]}``"""
    return _authorized("GET", "/children")


def stop() -> None:
    """Ask the supervisor to stop all children and itself; returns at once."""
    _authorized("POST", "/stop")


def restart(name: str) -> None:
    """End child ``name`` with SIGTERM and start it again at once."""
    _authorized("POST", "/children/restart", {"name": name})


def kill(name: str, signal: int = 9) -> int | None:
    """Send ``signal`` to child ``name``; it comes back after its back-off. Returns the pid that got it."""
    return _authorized("POST", "/children/kill", {"name": name, "signal": signal})["pid"]


def _authorized(method: str, path: str, body: Any = None) -> Any:
    require()
    token = TOKEN_FILE.read_text().strip()
    return _request(method, path, body, {"Authorization": f"Bearer {token}"})


def _request(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    connection = http.client.HTTPConnection(plan.CONTROL_HOST, plan.CONTROL_PORT, timeout=TIMEOUT)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, (headers or {}) | {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status == 404:
        raise errors.LabError(text, fix="lab status")
    if response.status >= 400:
        raise errors.LabError(f"the supervisor answered {response.status}: {text}", fix="lab stop, then lab up")
    return json.loads(text)
