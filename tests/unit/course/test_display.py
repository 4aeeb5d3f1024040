"""A chart in a notebook: two outputs, the picture and its sentence."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labs.course import display


class Picture:
    def image(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": "cG5n"}, {"image/png": {"alt": "a line"}}

    def caption(self) -> dict[str, Any]:
        return {"text/html": "<p>It rises.</p>"}


def test_the_picture_with_its_alternative_text_comes_first_then_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[Any, Any]] = []
    monkeypatch.setattr(display, "display", lambda data, metadata=None, raw=False: shown.append((data, metadata)))
    display.show(Picture())
    assert shown == [({"image/png": "cG5n"}, {"image/png": {"alt": "a line"}}), ({"text/html": "<p>It rises.</p>"}, None)]


def test_a_registered_type_shows_itself_so(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell()
    monkeypatch.setattr(display, "get_ipython", lambda: shell)
    display.register(Picture)
    assert shell.display_formatter is not None
    assert shell.display_formatter.ipython_display_formatter.lookup_by_type(Picture) is display.show


def test_outside_ipython_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "get_ipython", lambda: None)
    display.register(Picture)
