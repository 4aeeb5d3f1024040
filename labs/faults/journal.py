"""What was injected and when, in ``.lab/faults.json``: charts shade it, and a heal after a restart of the kernel finds it."""

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

from labs import config
from labs import process_owner as owner
from labs.faults.catalogue import find
from labs.process_owner import Owner
from labs.telemetry.windows import Window
from labs.wire.replace_file import replace_text

MYSTERY = "a mystery"
"""What a secret injection is called while it is in force."""
KEPT = 200
"""Healed injections that are remembered; older ones than Prometheus keeps data for are of no use."""


@dataclass(frozen=True)
class Injection:
    """One fault at one place. Times are Unix time in seconds; ``end`` is None while it is in force.

    ``memory`` is what its injector must know to undo it. A ``secret`` one does not tell its name before it has ended.
    ``owner`` is the process whose ``with`` block (or game) it lives in; None if it stays until somebody heals it.
    """

    id: str
    name: str
    where: dict[str, Any]
    start: float
    end: float | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    secret: bool = False
    owner: Owner | None = None

    @property
    def is_orphan(self) -> bool:
        """Still in force although the process it lived in is gone: a kernel that was restarted."""
        return self.owner is not None and self.end is None and owner.is_gone(self.owner)

    @property
    def hidden(self) -> bool:
        return self.secret and self.end is None

    @property
    def place(self) -> str:
        return "" if self.hidden else " ".join(f"{key}={value}" for key, value in self.where.items())

    @property
    def label(self) -> str:
        """Its name and place in a few words; of a secret one only that it is there."""
        return MYSTERY if self.hidden else f"{self.name} {self.place}".strip()

    def window(self) -> Window:
        """The span a chart shades."""
        end = datetime.fromtimestamp(self.end, UTC) if self.end is not None else None
        return Window(self.label, datetime.fromtimestamp(self.start, UTC), end)

    @property
    def title(self) -> str:
        return MYSTERY if self.hidden else f"{find(self.name).title}{f' ({self.place})' if self.where else ''}"


class Journal:
    """The file, shared by notebooks and the command: every change happens under a lock and replaces the file whole."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config.STATE / "faults.json"

    def all(self) -> list[Injection]:
        """Every injection remembered, the oldest first."""
        if not self.path.exists():
            return []
        rows = json.loads(self.path.read_text())
        return [Injection(**row | {"owner": tuple(row["owner"]) if row.get("owner") else None}) for row in rows]

    def active(self) -> list[Injection]:
        """Those in force, the oldest first."""
        return [injection for injection in self.all() if injection.end is None]

    def begin(
        self, name: str, where: dict[str, Any], memory: dict[str, Any] | None = None, *, secret: bool = False, owned: bool = False
    ) -> Injection:
        """Note that ``name`` is in force from now on. Written before anything is broken, so that a crash cannot lose it.

        ``owned``: it must not outlive this process.
        """
        holder = owner.this_process() if owned else None
        injection = Injection(
            secrets.token_hex(4), name, where, time.time(), memory=memory or {}, secret=secret, owner=holder
        )  # fmt: skip
        with self._changing() as rows:
            rows.append(injection)
        return injection

    def end(self, id: str) -> None:
        """Note that an injection is healed; what its heal had to know is forgotten."""
        with self._changing() as rows:
            rows[:] = [replace(row, end=time.time(), memory={}) if row.id == id and row.end is None else row for row in rows]

    def forget(self, id: str) -> None:
        """Drop an injection that never took hold."""
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
            # What is remembered may hold keys (an issuer's): nobody else reads it.
            replace_text(self.path, json.dumps([asdict(row) for row in rows if row not in healed], indent=1), mode=0o600)
