"""The front of a bundle: read before anything is installed, by the standard library alone."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.config import ROOT
from labs.paths import cache_dir
from labs.setup.preload import front


@given(rows=st.dictionaries(st.text(), st.text()), rest=st.binary(max_size=50))
def test_it_is_read_as_it_was_packed_and_leaves_the_rest(rows: dict[str, str], rest: bytes) -> None:
    source = io.BytesIO(front.pack(rows, []) + rest)
    assert front.manifest(front.read(source)) == rows
    assert source.read() == rest


def test_it_needs_nothing_that_must_be_installed() -> None:
    """``python -S -I`` has no site-packages."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import labs.setup.preload.front"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_same_cache_folder_as_everywhere() -> None:
    assert front.cache_dir() == cache_dir()


def test_wheels_of_a_bundle_for_this_python_are_taken(maker: Any, cache: Path) -> None:
    folder = front.prepare(str(maker.make()))
    assert folder == cache / "wheels" / front.wheel_key()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        path.name: path.read_text() for path in maker.wheels.iterdir()
    }


class Version(NamedTuple):
    """As ``sys.version_info``."""

    major: int
    minor: int
    micro: int


@pytest.mark.parametrize(
    ("version", "side"), [((3, 11, 2), 0), ((3, 11, 5), 1), ((3, 11, 9), 1), ((3, 12, 0), 2), ((3, 13, 1), 2)]
)
def test_wheels_differ_where_the_lock_says_that_pythons_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], side: int
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "a==1 ; python_full_version < '3.11.5'\na==2 ; python_full_version >= '3.11.5'\nb==1 ; python_full_version < '3.12'\n"
    )
    info = Version(*version)
    monkeypatch.setattr("labs.setup.preload.front.sys", SimpleNamespace(version_info=info, platform="linux"))
    assert f"-cp{info.major}{info.minor}.{side}-linux-" in front.wheel_key(lock)


def test_wheels_for_another_python_are_not(maker: Any, cache: Path) -> None:
    bundle = maker.make(maker.manifest(wheels="0123456789ab-cp27-linux-amd64"))
    with pytest.raises(front.FrontError, match=r"expected packages for Python \S+ .*; found 0123456789ab-cp27-linux-amd64"):
        front.prepare(str(bundle))
    assert not (cache / "wheels").exists()
