"""What the controls do: one load and any failures, one action after the other on a thread of its own.

Each action has a code twin, the line that does the same in a cell.
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
from labs.faults.session import FaultSession
from labs.telemetry.load import RunningLoad

if TYPE_CHECKING:
    from labs.lab import Lab

LONGEST = 600.0
"""Seconds of load: what nobody stops ends by itself."""
TARGETS = ("chat", "model")
STOP = "load.stop()"
HEAL = "lab.heal()"
Tell = Callable[[str], None]


def load_twin(target: str, rps: float) -> str:
    """The line that starts such a load."""
    return f'load = lab.load("{target}", rps={rps:g}, seconds={LONGEST:g}, wait=False)'


def fault_twin(name: str) -> str:
    """The lines that break it for as long as a block runs."""
    return f'with lab.fault("{name}"): …'


def possible(lab: Lab) -> list[Fault]:
    """The failures this backend can make, in the catalogue's order."""
    return [fault for fault in catalogue().values() if injector(fault).refusal(lab.scene) is None]


class Desk:
    """Starts and stops load, breaks and heals. Calls return at once; ``tell`` hears what happens, in words."""

    def __init__(self, lab: Lab, tell: Tell) -> None:
        self._lab, self._tell = lab, tell
        self._load: RunningLoad | None = None
        self._broken: list[FaultSession] = []
        self._todo: queue.SimpleQueue[tuple[str, Callable[[], str]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="control-room-desk", daemon=True)
        self._thread.start()

    def start(self, target: str, rps: float) -> None:
        """Send ``rps`` requests a second to ``target`` from now on, instead of what is sent now."""
        self._todo.put((load_twin(target, rps), lambda: self._start(target, rps)))

    def stop(self) -> None:
        """End the load."""
        self._todo.put((STOP, self._stop))

    def inject(self, name: str) -> None:
        """Break something until it is healed here, or the kernel ends."""
        self._todo.put((fault_twin(name), lambda: self._inject(name)))

    def heal(self) -> None:
        """Heal whatever is in force."""
        self._todo.put((HEAL, self._heal))

    def close(self, timeout: float = 60.0) -> None:
        """End the load and heal what was broken here; waits for it, ``timeout`` seconds at most."""
        self._todo.put(("", self._leave))
        self._todo.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while item := self._todo.get():
            twin, act = item
            if twin:
                self._tell(f"at work: {twin}")
            try:
                self._tell(act())
            except LabError as error:
                self._tell(f"✗ {error.message}" + (f" (try: {error.fix})" if error.fix else ""))

    def _start(self, target: str, rps: float) -> str:
        self._end_load()
        self._load = self._lab.load(target, rps=rps, seconds=LONGEST, wait=False)
        return f"load: {rps:g} requests a second to {target}, for ten minutes or until it is stopped"

    def _stop(self) -> str:
        return "the load is stopped" if self._end_load() else "no load of this room ran"

    def _end_load(self) -> bool:
        load, self._load = self._load, None
        if load is not None:
            load.stop()
        return load is not None

    def _inject(self, name: str) -> str:
        fault = self._lab.fault(name)
        fault.__enter__()
        self._broken.append(fault)
        return f"in force: {fault.fault.title}"

    def _heal(self) -> str:
        healed = self._lab.heal()
        self._broken.clear()
        return f"healed: {', '.join(row.title for row in healed)}" if healed else "nothing was in force"

    def _leave(self) -> str:
        with suppress(LabError):  # a lab that is gone has no load; the Job's own deadline ends it otherwise
            self._end_load()
        while self._broken:
            self._broken.pop().__exit__(None, None, None)
        return "closed"
