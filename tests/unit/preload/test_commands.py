"""``lab preload``: what it refuses and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.cli import run


def test_a_bundle_from_the_network_needs_its_checksum(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["preload", "load", "http://127.0.0.1:1/lab.tar.zst"]) == 2
    assert "expected --sha256" in capsys.readouterr().err


def test_a_file_that_is_not_there_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["preload", "load", str(tmp_path / "none.tar.zst")]) == 1
    assert "no file named" in capsys.readouterr().err


def test_what_is_no_bundle_is_not_served(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("something else")
    assert run(["preload", "serve", str(other)]) == 1
    assert "expected a bundle made by 'lab preload save'" in capsys.readouterr().err


def test_an_address_of_another_machine_is_refused(capsys: pytest.CaptureFixture[str], maker: Any) -> None:
    assert run(["preload", "serve", str(maker.make()), "--bind", "192.0.2.1"]) == 1
    assert "cannot listen on 192.0.2.1:8737" in capsys.readouterr().err


def test_verify_tells_a_whole_bundle_from_a_damaged_one(capsys: pytest.CaptureFixture[str], maker: Any) -> None:
    bundle = maker.make()
    assert run(["preload", "verify", str(bundle)]) == 0
    assert "is complete: 2 files for embedded" in capsys.readouterr().out
    bundle.write_bytes(bundle.read_bytes()[:-3])
    assert run(["preload", "verify", str(bundle)]) == 1


def test_verify_of_a_machine_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    with pytest.raises(SystemExit, match="1"):
        run(["preload", "verify", "--backend", "embedded"])
    out = capsys.readouterr().out
    assert "Kubernetes and etcd: " in out and "Prometheus: " in out and "Python packages: " in out
