"""Every query that the dashboards, the questions, the objectives and the control room ask has an answer on a lab that works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs.course.catchup import notebooks_before, run_steps
from labs.course.checks import run_one, select
from labs.course.control_room import readings
from labs.course.notebook_lab import open_lab
from labs.lab import Lab
from labs.telemetry import dashboards, questions, slo
from labs.topology import primary

pytestmark = [pytest.mark.integration, pytest.mark.course, pytest.mark.timeout(600)]

ASKED: dict[str, tuple[str, str]] = {
    **{f"{row.dashboard}: {row.panel} {n}": (row.cluster, row.promql) for n, row in enumerate(dashboards.targets())},
    **{f"question: {row.title}": (row.cluster, row.promql) for row in questions.QUESTIONS.values()},
    **{
        f"objective: {row.title} {window}": (row.cluster, row.burn_rate(window))
        for row in slo.OBJECTIVES.values()
        for window in slo.WINDOWS
    },
    **{
        f"control room: {name}": (primary(role).name, promql)
        for role, lines in readings.LINES.items()
        for name, promql in lines.items()
    },
    "control room: calls": ("app", readings.CALLS),
    "control room: served": ("gpu", readings.SERVED),
    "control room: GPUs": ("gpu", readings.GPUS),
}


@pytest.fixture(scope="module")
def lab(lab_up: None) -> Iterator[Lab]:
    """The lab as notebook 08 finds it, with a little load on it."""
    lab = open_lab()
    if not all(run_one(lab, item).passed for id in ("03", "05") for item in select(id) if item.id != "03.3"):
        for notebook in notebooks_before("08"):
            outcome = run_steps(notebook, lambda _index, _count: None)
            assert not outcome.error, outcome.error
        lab = open_lab()
    load = lab.load("chat", rps=4, seconds=300, wait=False)
    lab.wait_until('sum(increase(response_total{direction="outbound",dst_service=~"model-server.*"}[1m])) > 40', timeout=90)
    yield lab
    load.stop()


@pytest.mark.parametrize("what", ASKED)
def test_it_has_an_answer(lab: Lab, what: str) -> None:
    cluster, promql = ASKED[what]
    # NaN is no answer: it is what a quantile of nothing is. The parentheses keep an "or" inside.
    lab.wait_until(f"({promql}) >= -1e18", cluster=cluster, timeout=30)
