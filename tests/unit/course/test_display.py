"""What a cell's output shows."""

from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from labs.course import display


def test_in_a_notebook_every_frame_is_a_table_without_empty_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell()
    monkeypatch.setattr(display, "get_ipython", lambda: shell)
    frame = pd.DataFrame({"free": [1]}, index=["gpu-worker"])
    assert shell.display_formatter is not None
    before, _ = shell.display_formatter.format(frame)
    display.register_tables()
    shown, _ = shell.display_formatter.format(frame)
    assert "<th></th>" in before["text/html"] and "<th></th>" not in shown["text/html"]
    assert 'aria-label="Table: free"' in shown["text/html"] and shown["text/plain"] == before["text/plain"]


def test_outside_ipython_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "get_ipython", lambda: None)
    display.register_tables()
