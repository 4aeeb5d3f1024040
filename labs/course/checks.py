"""``lab.check("05.2")``: look at the cluster, say what was expected, what was found and what to try.

A check looks at the cluster and never at the learner's code. The checks of notebook NN are the functions in
``labs/course/expectations/``, registered under ``NN.k``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from labs.course.mime import CHECK_MIME
from labs.course.render import render
from labs.errors import CheckFailed, LabError, NotFound
from labs.waiting import attempts

if TYPE_CHECKING:
    from labs.lab import Lab


ANSWER_AFTER = 3.0
"""Seconds of looking in silence; after that the learner is told what is being waited for."""
INTERVAL = 0.5
"""Seconds between two looks: one may ask the API server, Prometheus and kubectl, on a machine that is busy becoming ready."""


@dataclass(frozen=True)
class Finding:
    """One look at the cluster."""

    ok: bool
    found: str


Look = Callable[[Any], Finding]
"""Gets the ``Lab``; the checks of notebooks 00 and 99, which have none, get None."""


@dataclass(frozen=True)
class Check:
    """A registered check. ``within`` seconds it may take to become true (the cluster is eventually consistent)."""

    id: str
    expected: str
    hint: str
    within: float
    look: Look


@dataclass(frozen=True)
class Result:
    """What one check said."""

    id: str
    expected: str
    passed: bool
    found: str
    hint: str


_checks: dict[str, Check] = {}


def check(id: str, expected: str, *, hint: str, within: float = 10) -> Callable[[Look], Look]:
    """Register a function as check ``id``; ``expected`` is a sentence, ``hint`` what to type when it is not so."""

    def register(look: Look) -> Look:
        if id in _checks:
            raise ValueError(f"two checks are called {id}: {_checks[id].look.__name__} and {look.__name__}")
        _checks[id] = Check(id, expected, hint, within, look)
        return look

    return register


def registered() -> dict[str, Check]:
    """Every check by id, in order."""
    from labs.course import expectations

    for module in pkgutil.iter_modules(expectations.__path__):
        importlib.import_module(f"{expectations.__name__}.{module.name}")
    return dict(sorted(_checks.items()))


def select(id: str) -> list[Check]:
    """The check ``"05.2"``, or all of a notebook for ``"05"``.

    Raises:
        NotFound: no such check; the message lists those there are.
    """
    known = registered()
    chosen = [c for c in known.values() if c.id == id or c.id.startswith(f"{id}.")]
    if not chosen:
        raise NotFound("check", id, list(known))
    return chosen


Waiting = Callable[[Result, float], None]
"""Called once with what a check has found so far and the seconds for which it looks again."""


def _say_nothing(_result: Result, _left: float) -> None:
    pass


def run_one(lab: Lab | None, item: Check, waiting: Waiting = _say_nothing) -> Result:
    """Look until it is as expected or ``within`` seconds have passed; the last look counts."""
    told = False
    for spent in attempts(item.within, INTERVAL):
        result = _look(lab, item)
        if result.passed:
            break
        if not told and spent >= ANSWER_AFTER and spent < item.within:
            waiting(result, item.within - spent)
            told = True
    return result


def run_all(lab: Lab | None, items: Sequence[Check], waiting: Waiting = _say_nothing) -> Report:
    """Run checks in order. Only the first that fails is waited for: what builds on it will not become true meanwhile."""
    results: list[Result] = []
    for item in items:
        failed = any(not result.passed for result in results)
        results.append(_look(lab, item) if failed else run_one(lab, item, waiting))
    return Report(results)


def _look(lab: Lab | None, item: Check) -> Result:
    try:
        finding = item.look(lab)
    except LabError as error:
        # The cluster not answering is a finding like any other: the learner is told, not shown a traceback.
        finding = Finding(False, error.message)
    return Result(item.id, item.expected, finding.ok, finding.found, item.hint)


class Report:
    """The results of one ``lab.check``: a small table in a notebook, plain lines elsewhere."""

    def __init__(self, results: Iterable[Result]) -> None:
        self.results = list(results)

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    def require_passed(self) -> None:
        """Do nothing if every check has passed.

        Raises:
            CheckFailed: at least one is not as expected. The message has every result, the fix is the first hint.
        """
        first = next((result for result in self.results if not result.passed), None)
        if first is not None:
            raise CheckFailed(str(self), fix=first.hint)

    def __str__(self) -> str:
        return "\n".join(_line(result) for result in self.results)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            "text/plain": str(self),
            "text/html": render("checks.html.j2", results=self.results),
            CHECK_MIME: [asdict(result) for result in self.results],
        }


def waiting_line(result: Result, left: float) -> str:
    """What a learner reads while a check looks again."""
    return f"… {result.id} not yet: {result.expected}. Found so far: {result.found}. Looking again for up to {left:.0f} s."


def _line(result: Result) -> str:
    if result.passed:
        return f"✓ {result.id} {result.expected}"
    return f"✗ {result.id} expected: {result.expected}\n     found: {result.found}\n       try: {result.hint}"
