"""Where the embedded backend cannot work it says so before it does anything, and which backends will."""

from __future__ import annotations

import sys

import pytest

from labs import cli
from labs.embedded import bringup, build


@pytest.mark.parametrize("verb", ["up", "build"])
def test_not_linux(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("nothing may be started")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(build, "build", forbidden)
    monkeypatch.setattr(bringup, "start_steps", forbidden)
    assert cli.run([verb]) == 1
    said = capsys.readouterr().err
    assert "the embedded backend needs Linux; found darwin" in said
    assert "kind" in said and "WSL2" in said
