"""``lab reset`` is down and up on the same backend, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from labs import errors
from labs.clusters import backends, commands


class FakeBackend:
    name = "fake"

    def __init__(self, *, up_fails: bool = False) -> None:
        self.done: list[str] = []
        self._up_fails = up_fails

    def clusters(self) -> dict[str, object]:
        return {"app": object(), "gpu": object()}

    def down(self, clusters: Sequence[str] = ()) -> None:
        self.done.append("down")

    def up(self, progress: object, *, clusters: Sequence[str], keep: bool, timeout: float) -> None:
        self.done.append(f"up keep={keep} timeout={timeout:g}")
        if self._up_fails:
            raise errors.TimedOut("nodes", fix="lab status")


def run(backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseException | None:
    monkeypatch.setattr(backends, "to_remove", lambda: backend)
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    return CliRunner().invoke(commands.reset, ["--timeout", "7"]).exception


def test_down_then_up_on_the_same_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend()
    assert run(backend, tmp_path, monkeypatch) is None
    assert backend.done == ["down", "up keep=False timeout=7"]


def test_a_failure_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run(FakeBackend(up_fails=True), tmp_path, monkeypatch), errors.TimedOut)
