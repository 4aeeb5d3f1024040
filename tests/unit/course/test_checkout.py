"""``lab update`` pulls with git where there is something to pull from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labs import config
from labs.course import checkout
from labs.errors import LabError


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def commit(folder: Path, text: str) -> None:
    (folder / "file").write_text(text)
    git(folder, "add", "file")
    git(folder, "commit", "-m", text)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, and a clone of it that is this checkout."""
    published = tmp_path / "published"
    published.mkdir()
    git(published, "init", "-b", "main")
    commit(published, "one")
    git(tmp_path, "clone", str(published), "clone")
    monkeypatch.setattr(config, "ROOT", tmp_path / "clone")
    return published


def test_nothing_new(published: Path) -> None:
    assert checkout.pull() == "the checkout is up to date"


def test_a_fix_is_pulled(published: Path) -> None:
    commit(published, "two")
    assert checkout.pull().startswith("pulled ")
    assert (config.ROOT / "file").read_text() == "two"


def test_a_change_of_the_learners_own_is_not_overwritten(published: Path) -> None:
    (config.ROOT / "file").write_text("mine")
    commit(published, "two")
    with pytest.raises(LabError, match="git pull failed") as caught:
        checkout.pull()
    assert "file" in caught.value.message and "status" in caught.value.fix
    assert (config.ROOT / "file").read_text() == "mine"


def test_a_clone_without_a_place_to_pull_from(published: Path) -> None:
    git(config.ROOT, "remote", "remove", "origin")
    assert "follows no other" in checkout.pull()


def test_no_checkout_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    assert "no git checkout" in checkout.pull()
