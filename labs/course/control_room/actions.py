"""What the controls do: one load and any number of faults, one action after another on a thread of its own.

Each action has a code twin: the line that does the same in a cell.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from labs.errors import LabError
from labs.faults.catalogue import Fault, catalogue
from labs.faults.injectors import injector
from labs.faults.lifecycle import FaultContext
from labs.telemetry.load import Load

if TYPE_CHECKING:
    from labs.lab import Lab

LONGEST = 600.0
"""Seconds of load; it ends by itself if nobody stops it."""
TARGETS = ("chat", "model")
STOP = "load.stop()"
HEAL = "lab.heal()"
Tell = Callable[[str], None]


def load_twin(target: str, rps: float) -> str:
    """The line that starts this load."""
    return f'load = lab.load("{target}", rps={rps:g}, seconds={LONGEST:g}, wait=False)'


def fault_twin(name: str) -> str:
    """The line that injects this fault for the duration of a block."""
    return f'with lab.fault("{name}"): …'


def possible(lab: Lab) -> list[Fault]:
    """The faults this backend supports, in the catalogue's order."""
    return [fault for fault in catalogue().values() if injector(fault).unsupported_reason(lab) is None]


class Actions:
    """Starts and stops load, injects and heals faults. Calls return immediately; ``tell`` receives progress messages."""

    def __init__(self, lab: Lab, tell: Tell) -> None:
        self._lab, self._tell = lab, tell
        self._load: Load | None = None
        self._injected: list[FaultContext] = []
        self._todo: queue.SimpleQueue[tuple[str, Callable[[], str]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="control-room-actions", daemon=True)
        self._thread.start()

    def start(self, target: str, rps: float) -> None:
        """Replace the current load with ``rps`` requests per second to ``target``."""
        self._todo.put((load_twin(target, rps), lambda: self._start(target, rps)))

    def stop(self) -> None:
        """End the load."""
        self._todo.put((STOP, self._stop))

    def inject(self, name: str) -> None:
        """Inject a fault until it is healed here or the kernel exits."""
        self._todo.put((fault_twin(name), lambda: self._inject(name)))

    def heal(self) -> None:
        """Heal everything that is active."""
        self._todo.put((HEAL, self._heal))

    def close(self, timeout: float = 60.0) -> None:
        """End the load, heal what was injected here, and wait for both, for at most ``timeout`` seconds."""
        self._todo.put(("", self._leave))
        self._todo.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while item := self._todo.get():
            twin, act = item
            if twin:
                self._tell(f"running: {twin}")
            try:
                self._tell(act())
            except LabError as error:
                self._tell(f"✗ {error.message}" + (f" (try: {error.fix})" if error.fix else ""))

    def _start(self, target: str, rps: float) -> str:
        self._end_load()
        self._load = self._lab.load(target, rps=rps, seconds=LONGEST, wait=False)
        return f"load: {rps:g} requests per second to {target}, for ten minutes or until you stop it"

    def _stop(self) -> str:
        return "load stopped" if self._end_load() else "this room was not sending any load"

    def _end_load(self) -> bool:
        load, self._load = self._load, None
        if load is not None:
            load.stop()
        return load is not None

    def _inject(self, name: str) -> str:
        fault = self._lab.fault(name)
        fault.__enter__()
        self._injected.append(fault)
        return f"injected: {fault.fault.title}"

    def _heal(self) -> str:
        healed = self._lab.heal()
        self._injected.clear()
        return f"healed: {', '.join(row.title for row in healed)}" if healed else "no fault was active"

    def _leave(self) -> str:
        with suppress(LabError):  # if the lab is gone, so is its load; otherwise the Job's deadline ends it
            self._end_load()
        while self._injected:
            self._injected.pop().__exit__(None, None, None)
        return "closed"
