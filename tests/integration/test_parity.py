"""Every row of the parity table, asked of a running lab: each must answer what it is declared to answer, in either direction."""

from __future__ import annotations

import pytest

from labs.clusters import backends
from tests.parity import expect, runner
from tests.parity.context import ParityContext
from tests.parity.rows import Row, topics
from tests.parity.runner import Outcome

# The first row waits for the whole list.
pytestmark = [pytest.mark.integration, pytest.mark.parity, pytest.mark.timeout(900)]

ROWS = [pytest.param(row, id=row.id) for topic in topics() for row in topic.rows]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, lab_up: None) -> dict[str, Outcome]:
    """The rows of all topics of which a row was chosen for this run of pytest."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    rows = [item.callspec.params.get("row") for item in items]
    wanted = {row.topic for row in rows if isinstance(row, Row)}
    context = ParityContext(backends.current())
    context.remove()
    try:
        chosen = [topic for topic in topics() if topic.name in wanted]
        return {outcome.row.id: outcome for outcome in runner.run(chosen, context)}
    finally:
        context.remove()


@pytest.mark.parametrize("row", ROWS)
def test_row(row: Row, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[row.id]
    assert not outcome.error, outcome.error
    found = f"{row.asked}\n  recorded: {expect.shown(row.real)}\n  here:     {expect.shown(outcome.answer)}"
    assert outcome.as_declared, f"declared {row.verdict}, but it is {'the same' if outcome.same else 'not the same'}: {found}"
