"""Injecting and healing: the one interface behind ``with lab.fault(…)`` and ``lab fault inject|heal``."""

from __future__ import annotations

import time
from types import TracebackType

from labs.errors import LabError, UsageError
from labs.faults.catalogue import Fault, find
from labs.faults.injectors import injector
from labs.faults.injectors.base import Scene, Where
from labs.faults.journal import Injection, Journal


def prepare(scene: Scene, journal: Journal, name: str, where: Where) -> tuple[Fault, Where]:
    """Check everything that can be checked; changes nothing. Returns the fault and the completed place.

    Raises:
        NotFound, UsageError: an unknown name, word or place; the backend cannot do it; something in force is in its way.
    """
    fault = find(name)
    check_words(fault, where)
    maker = injector(fault)
    if reason := maker.refusal(scene):
        raise UsageError(f"backend {scene.backend.name} cannot make {name}: {reason}", fix="lab fault list")
    active = journal.active()
    if any(found.name == name for found in active) and not where and not fault.where:
        raise UsageError(f"{name} is in force already", fix=f"lab fault heal {name}")
    place = maker.resolve(scene, where)
    refuse_conflict(fault, place, active)
    return fault, place


def check_words(fault: Fault, where: Where) -> None:
    """Refuse words the fault does not know.

    Raises:
        UsageError: ``where`` has such a word.
    """
    unknown = sorted(set(where) - set(fault.where))
    if unknown:
        takes = ", ".join(fault.where) or "no words"
        raise UsageError(
            f"fault {fault.name} does not know {', '.join(unknown)}; it takes: {takes}", fix=f"lab fault show {fault.name}"
        )


def refuse_conflict(fault: Fault, where: Where, active: list[Injection]) -> None:
    """Two faults may be in force at once, but not on one thing: healing one would then undo, or keep, a part of the other.

    Raises:
        UsageError: which thing, and which fault holds it.
    """
    wanted = injector(fault).touches(where)
    for found in active:
        shared = wanted & injector(find(found.name)).touches(found.where)
        if shared:
            holder = "it" if found.name == fault.name else found.label
            fix = "lab fault heal --all" if found.hidden else f"lab fault heal {found.name}"
            raise UsageError(f"{fault.name} would change {sorted(shared)[0]}, where {holder} is in force already", fix=fix)


def inject(scene: Scene, journal: Journal, fault: Fault, where: Where, *, secret: bool = False, owned: bool = False) -> Injection:
    """Break it. If that fails or is interrupted, what was begun is healed before the error goes on.

    One that is ``owned`` ends with this process: the next ``labs.open()`` heals it if the process could not.
    """
    maker = injector(fault)
    injection = journal.begin(fault.name, where, maker.remember(scene, where), secret=secret, owned=owned)
    try:
        maker.inject(scene, where)
    except BaseException:
        maker.heal(scene, where, injection.memory)
        journal.forget(injection.id)
        raise
    return injection


def heal(scene: Scene, journal: Journal, injection: Injection) -> None:
    """Heal it. If that fails it stays in the journal, and ``lab fault heal --all`` tries again."""
    injector(find(injection.name)).heal(scene, injection.where, injection.memory)
    journal.end(injection.id)


def heal_all(scene: Scene, journal: Journal, name: str | None = None) -> list[Injection]:
    """Heal all in force (of one name, if given), the newest first, and return them as they ended.

    One that cannot be healed does not keep the others from it: its error is raised when all had their turn.
    """
    return _heal_these(scene, journal, [found for found in journal.active() if name in (None, found.name)])


def heal_orphans(scene: Scene, journal: Journal) -> list[Injection]:
    """Heal what a process left that is gone: a kernel that was restarted inside a ``with`` block."""
    return _heal_these(scene, journal, [found for found in journal.active() if found.is_orphan])


def _heal_these(scene: Scene, journal: Journal, injections: list[Injection]) -> list[Injection]:
    healed: list[str] = []
    failure: LabError | None = None
    for injection in reversed(injections):
        try:
            heal(scene, journal, injection)
            healed.append(injection.id)
        except LabError as error:
            failure = failure or error
    if failure:
        raise failure
    return sorted((row for row in journal.all() if row.id in healed), key=lambda row: healed.index(row.id))


class FaultSession:
    """A fault as a context manager: in force inside the block, healed on leaving it however that happens."""

    def __init__(self, scene: Scene, journal: Journal, fault: Fault, where: Where) -> None:
        self._scene, self._journal = scene, journal
        self.fault, self.where = fault, where
        self.injection: Injection | None = None
        self.healed_after: float | None = None
        """Seconds the heal took, once it is done."""

    def __enter__(self) -> FaultSession:
        self.injection = inject(self._scene, self._journal, self.fault, self.where, owned=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.injection is not None, "left without having been entered"
        started = time.monotonic()
        if any(row.id == self.injection.id for row in self._journal.active()):
            heal(self._scene, self._journal, self.injection)
        self.healed_after = time.monotonic() - started

    def __repr__(self) -> str:
        place = " ".join(f"{key}={value}" for key, value in self.where.items())
        state = "in force inside a with block" if self.injection is None else "see lab fault list"
        return f"<fault {self.fault.name} {place}: {state}>"
