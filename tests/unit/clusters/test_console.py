"""What `lab up` prints where lines cannot be taken back: in a notebook, in a log."""

from __future__ import annotations

import pytest

from labs.clusters import console


def test_in_a_notebook_each_step_is_one_plain_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("FORCE_COLOR", "JPY_PARENT_PID"):
        monkeypatch.setenv(name, "1")  # as Jupyter's kernels have them
    monkeypatch.setattr(console, "LINE_EVERY", 0.0)
    progress = console.ConsoleProgress()
    progress.begin("Nodes")
    progress.note("waiting for [gpu-worker]")
    progress.advance(0.5, "one of two")
    progress.end(1.26)
    progress.begin("Cluster objects")
    progress.end(0.5, "refused")
    console.say("The clusters are up.")
    shown = capsys.readouterr()
    assert shown.err == "", "a notebook shows it in red"
    assert shown.out.splitlines() == [
        "  Nodes: waiting for [gpu-worker]",
        "  Nodes: 50%, one of two",
        "✓ Nodes (1.3 s)",
        "✗ Cluster objects: refused (0.5 s)",
        "The clusters are up.",
    ]


def test_elsewhere_results_have_stdout_for_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    progress = console.ConsoleProgress()
    progress.begin("Nodes")
    progress.end(1.0)
    console.say("The clusters are up.")
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.splitlines() == ["✓ Nodes (1.0 s)", "The clusters are up."]
