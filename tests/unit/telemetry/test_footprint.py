"""SavedState by component: real processes, those that are gone, and none at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from labs.telemetry import footprint

HOLD = "data = bytearray(range(256)) * (40 << 12); print('ready', flush=True); input()"
"""40 MiB that are really there: each page is written."""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


@pytest.fixture
def family() -> Iterator[int]:
    """A process whose child holds 40 MiB."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield process.pid
    process.communicate("\n")


def test_a_component_counts_with_all_it_started_the_largest_first(family: int) -> None:
    sizes = footprint.by_component([{"name": "self", "pid": os.getppid()}, {"name": "pods", "pid": family}])
    assert set(sizes.index) == {"self", "pods"} and sizes.is_monotonic_decreasing
    assert 40 < sizes["pods"] < 120


def test_processes_that_are_gone_or_not_started_hold_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    sizes = footprint.by_component([{"name": "gone", "pid": gone.pid}, {"name": "waiting", "pid": None}])
    assert sizes.to_dict() == {"gone": 0.0}


def test_the_chart_says_the_sum_or_that_nothing_runs(family: int) -> None:
    assert "All together: 0." in footprint.chart([{"name": "pods", "pid": family}]).alt
    assert "No lab process is running." in footprint.chart([]).alt
    assert "docker stats" in footprint.chart([{"name": "app/app-worker", "pid": None}]).alt
