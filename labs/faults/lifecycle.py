"""Injecting and healing faults: the one interface behind ``with lab.fault(…)`` and ``lab fault inject|heal``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from labs.errors import LabError, UsageError
from labs.faults.catalogue import Fault, find
from labs.faults.injectors import injector
from labs.faults.injectors.base import Parameters
from labs.journal import Injection
from labs.session import Session


def prepare(session: Session, name: str, parameters: Parameters) -> tuple[Fault, Parameters]:
    """Validate a request without changing anything. Returns the fault and its complete parameters.

    Raises:
        NotFound, UsageError: an unknown fault, parameter or object; the backend cannot do it; an active fault conflicts with it.
    """
    fault = find(name)
    check_parameters(fault, parameters)
    how = injector(fault)
    if reason := how.unsupported_reason(session):
        raise UsageError(f"backend {session.backend.name} does not support {name}: {reason}", fix="lab fault list")
    active = session.journal.active()
    if any(found.name == name for found in active) and not parameters and not fault.parameters:
        raise UsageError(f"{name} is already active", fix=f"lab fault heal {name}")
    complete = how.resolve(session, parameters)
    check_conflicts(fault, complete, active)
    return fault, complete


def check_parameters(fault: Fault, parameters: Parameters) -> None:
    """Reject parameters that the fault does not have.

    Raises:
        UsageError: there are some; the message lists those it has.
    """
    unknown = sorted(set(parameters) - set(fault.parameters))
    if unknown:
        known = ", ".join(fault.parameters) or "none"
        raise UsageError(
            f"fault {fault.name} has no parameter {', '.join(unknown)}; it has: {known}", fix=f"lab fault show {fault.name}"
        )


def check_conflicts(fault: Fault, parameters: Parameters, active: list[Injection]) -> None:
    """Reject a fault that affects the same resource as an active one: healing either would undo part of the other.

    Raises:
        UsageError: they share one; the message names it and the active fault.
    """
    wanted = injector(fault).affected_resources(parameters)
    for found in active:
        shared = wanted & injector(find(found.name)).affected_resources(found.parameters)
        if shared:
            holder = "the same fault" if found.name == fault.name else found.label
            raise UsageError(
                f"{fault.name} affects {sorted(shared)[0]}, and so does {holder}, which is active", fix=heal_command(found)
            )


def check_removal(active: Iterable[Injection], cluster: str, node: str | None = None) -> None:
    """Reject the removal of a cluster, or of one of its nodes, while a fault is active there: nothing could heal it afterwards.

    Raises:
        UsageError: a fault is active there; the message names it.
    """
    for found in active:
        on_node = node is None or found.parameters.get("node") == node
        if on_node and injector(find(found.name)).cluster == cluster:
            place = f"node {node} of cluster {cluster}" if node else f"cluster {cluster}"
            raise UsageError(
                f"{found.label} is active on {place}, and could not be healed without it",
                fix=f"{heal_command(found)}, then the same command again",
            )


def heal_command(injection: Injection) -> str:
    """The command that heals it; it does not reveal the name of a secret injection."""
    return "lab fault heal --all" if injection.hidden else f"lab fault heal {injection.name}"


def inject(session: Session, fault: Fault, parameters: Parameters, *, secret: bool = False, owned: bool = False) -> Injection:
    """Inject a prepared fault. If that fails or is interrupted, heal it before the error propagates.

    An ``owned`` fault ends with this process: if the process cannot heal it, the next recovery does.
    """
    how = injector(fault)
    saved_state = how.capture_state(session, parameters)
    injection = session.journal.begin(fault.name, fault.title, parameters, saved_state, secret=secret, owned=owned)
    try:
        how.inject(session, parameters)
    except BaseException:
        how.heal(session, parameters, injection.saved_state)
        session.journal.forget(injection.id)
        raise
    return injection


def heal(session: Session, injection: Injection) -> None:
    """Heal it. If that fails, it stays in the journal and ``lab fault heal --all`` tries again."""
    injector(find(injection.name)).heal(session, injection.parameters, injection.saved_state)
    session.journal.end(injection.id)


def heal_all(session: Session, name: str | None = None) -> list[Injection]:
    """Heal all active faults (or those with one name), newest first, and return them in that order, as the journal has them now.

    A failure to heal one does not stop the others; the first error is raised at the end.
    """
    return _heal_these(session, [found for found in session.journal.active() if name in (None, found.name)])


def heal_orphans(session: Session) -> list[Injection]:
    """Heal the faults of processes that no longer exist, such as a kernel that was restarted inside a ``with`` block."""
    return _heal_these(session, [found for found in session.journal.active() if found.is_orphan])


def _heal_these(session: Session, injections: list[Injection]) -> list[Injection]:
    healed: list[str] = []
    failure: LabError | None = None
    for injection in reversed(injections):
        try:
            heal(session, injection)
            healed.append(injection.id)
        except LabError as error:
            failure = failure or error
    if failure:
        raise failure
    return sorted((row for row in session.journal.all() if row.id in healed), key=lambda row: healed.index(row.id))


class FaultContext:
    """A fault as a context manager: active inside the block, healed on exit however the block ends."""

    def __init__(self, session: Session, fault: Fault, parameters: Parameters) -> None:
        self._session = session
        self.fault, self.parameters = fault, parameters
        self.injection: Injection | None = None
        self.healed_after: float | None = None
        """Seconds the heal took, once it is done."""

    def __enter__(self) -> FaultContext:
        self.injection = inject(self._session, self.fault, self.parameters, owned=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.injection is not None, "exited without being entered"
        started = time.monotonic()
        if any(row.id == self.injection.id for row in self._session.journal.active()):
            heal(self._session, self.injection)
        self.healed_after = time.monotonic() - started

    def __repr__(self) -> str:
        chosen = " ".join(f"{key}={value}" for key, value in self.parameters.items())
        state = "active inside a with block" if self.injection is None else "see lab fault list"
        return f"<fault {self.fault.name} {chosen}: {state}>"
