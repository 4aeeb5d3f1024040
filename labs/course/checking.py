"""``lab.check`` as a learner meets it: it first says what is missing, shows what it waits for, and notes what passes."""

from __future__ import annotations

from labs.course import display, start_page
from labs.course.begin import require_needs
from labs.course.checks import Report, run_all, select, waiting_line
from labs.lab import Lab


def run_check(lab: Lab | None, id: str) -> Report:
    """Run the checks that ``id`` names; notebooks 00 and 99 have no lab.

    Raises:
        NotFound: there is no such check.
        NotRunning: what the notebook builds on is missing; ``.fix`` says what to type.
        CheckFailed: what was expected, what was found, what to try.
    """
    found = report(lab, id)
    if not found.passed:
        display.now(found)
    found.require_passed()
    return found


def report(lab: Lab | None, id: str) -> Report:
    """What ``run_check`` finds, whether it passes or not.

    Raises:
        NotFound, NotRunning: as ``run_check``.
    """
    chosen = select(id)
    if lab is not None:
        require_needs(lab, chosen[0].id.partition(".")[0])
    notice = display.Notice()
    found = run_all(lab, chosen, lambda result, left: notice.show(waiting_line(result, left)))
    notice.remove()
    start_page.record(found)
    return found
