"""Where a lab keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.config import LAB_IMAGE, ROOT
from labs.paths import Paths


def test_the_checkouts_own_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAB_STATE", raising=False)
    assert Paths.current().state == ROOT / ".lab"
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    assert Paths.current().kubeconfig == tmp_path / "kubeconfig", "asked at each call: a later value counts"


def test_two_labs_have_no_file_in_common(tmp_path: Path) -> None:
    one, other = Paths(tmp_path / "one"), Paths(tmp_path / "other")
    assert one.run_dir() != other.run_dir()
    assert one.log("app/etcd") == tmp_path / "one" / "logs" / "app-etcd.log"


def test_a_state_folder_with_a_space_has_a_plain_path_too(tmp_path: Path) -> None:
    assert Paths(tmp_path / "plain").plain_state() == tmp_path / "plain"
    spaced = Paths(tmp_path / "a space")
    assert spaced.plain_state() == spaced.run_dir() / "state"


def test_the_image_is_the_users_where_one_is_recorded(tmp_path: Path) -> None:
    assert Paths(tmp_path).image() == LAB_IMAGE
    (tmp_path / "image").write_text("registry.example/lab:1\n")
    assert Paths(tmp_path).image() == "registry.example/lab:1"
