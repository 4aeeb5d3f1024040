"""A tiny Go module to compile, and a place for its cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.embedded.recipes import Recipe

MAIN = """package main

var version = "unset"

func main() { println("hello", version) }
"""


class Recorder:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shares: list[float] = []

    def begin(self, title: str) -> None:
        self.lines.append(title)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def advance(self, share: float, text: str) -> None:
        self.shares.append(share)
        self.lines.append(text)

    def end(self, seconds: float, failure: str | None = None) -> None:
        self.lines.append(failure or "done")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Compiles in a few seconds, nearly all of it Go's runtime."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_recipe(tmp_path)


def tiny_recipe(folder: Path) -> Recipe:
    module = folder / "hello module"
    (module / "hello").mkdir(parents=True)
    (module / "go.mod").write_text("module example.test/m\n\ngo 1.26\n")
    (module / "go.sum").write_text("")
    (module / "hello" / "main.go").write_text(MAIN)
    return Recipe("Hello", module, {"hello": "example.test/m/hello"}, ldflags="-s -w -X main.version=1.2", cpu_minutes=0.2)
