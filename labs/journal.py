"""What was injected and when, in ``.lab/faults.json``. Charts shade it, and a heal after a kernel restart finds it."""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labs import process_owner as owner
from labs.errors import LabError
from labs.paths import Paths
from labs.process_owner import Owner
from labs.telemetry.windows import Window
from labs.wire.replace_file import replace_text

MYSTERY = "a mystery"
"""The name of a secret injection while it is active."""
KEPT = 200
"""Healed injections kept in the file. Charts shade them, and Prometheus does not keep data any longer than that."""


@dataclass(frozen=True)
class Injection:
    """One fault with its parameters; ``description`` is the catalogue's title.

    Times are Unix time in seconds; ``end`` is None while the fault is active.
    ``saved_state`` is what its injector needs to undo it. A ``secret`` injection hides its name until it has ended.
    ``owner`` is the process whose ``with`` block (or game) it belongs to; None if it stays until somebody heals it.
    """

    id: str
    name: str
    description: str
    parameters: dict[str, Any]
    start: float
    end: float | None = None
    saved_state: dict[str, Any] = field(default_factory=dict)
    secret: bool = False
    owner: Owner | None = None

    @property
    def is_orphan(self) -> bool:
        """Still active although its owner (such as a restarted kernel) has exited."""
        return self.owner is not None and self.end is None and owner.is_gone(self.owner)

    @property
    def hidden(self) -> bool:
        return self.secret and self.end is None

    @property
    def details(self) -> str:
        """The parameters as text, empty for a secret injection."""
        return "" if self.hidden else " ".join(f"{key}={value}" for key, value in self.parameters.items())

    @property
    def label(self) -> str:
        """Its name and parameters; a secret injection shows neither."""
        return MYSTERY if self.hidden else f"{self.name} {self.details}".strip()

    def window(self) -> Window:
        """The span a chart shades."""
        end = datetime.fromtimestamp(self.end, UTC) if self.end is not None else None
        return Window(self.label, datetime.fromtimestamp(self.start, UTC), end)

    @property
    def title(self) -> str:
        """Its description and parameters; a secret injection shows neither."""
        return MYSTERY if self.hidden else f"{self.description}{f' ({self.details})' if self.parameters else ''}"


class Journal:
    """The file, shared by notebooks and the command line. Every change takes a lock and replaces the whole file."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Paths.current().state / "faults.json"

    def all(self) -> list[Injection]:
        """Every recorded injection, the oldest first.

        Raises:
            LabError: the file comes from another version of the lab, or is damaged.
        """
        if not self.path.exists():
            return []
        try:
            rows = json.loads(self.path.read_text())
            return [Injection(**row | {"owner": tuple(row["owner"]) if row.get("owner") else None}) for row in rows]
        except (TypeError, ValueError) as error:
            raise LabError(f"{self.path} is damaged, or another version of the lab wrote it: {error}", fix="lab down") from error

    def active(self) -> list[Injection]:
        """The active ones, the oldest first."""
        return [injection for injection in self.all() if injection.end is None]

    def begin(
        self,
        name: str,
        description: str,
        parameters: dict[str, Any],
        saved_state: dict[str, Any] | None = None,
        *,
        secret: bool = False,
        owned: bool = False,
    ) -> Injection:
        """Record ``name`` as active from now on. Written before anything breaks, so that a crash cannot lose it.

        An ``owned`` injection must not outlive this process.
        """
        holder = owner.this_process() if owned else None
        injection = Injection(
            id=secrets.token_hex(4),
            name=name,
            description=description,
            parameters=parameters,
            start=time.time(),
            saved_state=saved_state or {},
            secret=secret,
            owner=holder,
        )
        with self._changing() as rows:
            rows.append(injection)
        return injection

    def end(self, id: str) -> None:
        """Record that an injection is healed, and drop its saved state."""
        with self._changing() as rows:
            rows[:] = [replace(row, end=time.time(), saved_state={}) if row.id == id and row.end is None else row for row in rows]

    def forget(self, id: str) -> None:
        """Drop an injection that never became active."""
        with self._changing() as rows:
            rows[:] = [row for row in rows if row.id != id]

    @contextmanager
    def _changing(self) -> Iterator[list[Injection]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = self.all()
            yield rows
            healed = [row for row in rows if row.end is not None][:-KEPT]
            # Saved state may contain keys (an issuer's), so only the owner of the file may read it.
            replace_text(self.path, json.dumps([asdict(row) for row in rows if row not in healed], indent=1), mode=0o600)
