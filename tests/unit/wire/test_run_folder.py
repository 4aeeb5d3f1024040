"""Sockets fit into a socket's path wherever a home directory is, and nobody else gets at them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import topology
from labs.embedded import plan
from labs.embedded.node.model import SHORT_HOST_PATHS, Node
from labs.paths import Paths
from labs.pods.gpu_simulator.plugin import endpoint_of
from labs.wire import run_folder

RESOURCES = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb.shared")


@pytest.mark.parametrize("length", [10, 40, 107, 200])
def test_every_socket_fits_however_long_a_home_is(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = "/home/" + "h" * (length - len("/home/"))
    monkeypatch.setenv("XDG_CACHE_HOME", f"{home}/.cache")
    names = ["kubelet.sock", "work.sock", *(endpoint_of(resource) for resource in RESOURCES)]
    nodes = [Node(plan.ClusterPlan(cluster), node) for cluster in topology.declared() for node in cluster.nodes]
    paths = [node.host_path(folder) / name for node in nodes for folder in SHORT_HOST_PATHS for name in names]
    paths += [Paths.current().run_dir() / f"{cluster.name}-service-proxy" / "admin.sock" for cluster in topology.declared()]
    assert max(len(os.fsencode(path)) for path in paths) <= run_folder.SOCKET_PATH_LIMIT
    below = max(len(os.fsencode(path)) - len(os.fsencode(Paths.current().run_dir())) for path in paths)
    assert below <= run_folder.LONGEST_BELOW


@given(depth=st.integers(0, 300), name=st.text("0123456789abcdef", min_size=8, max_size=8))
def test_a_short_cache_is_preferred_and_a_long_one_avoided(depth: int, name: str) -> None:
    cache = Path("/" + "c" * depth) / "boring-ops-lab"
    found = run_folder.run_folder(cache, name)
    assert len(os.fsencode(found)) + run_folder.LONGEST_BELOW <= run_folder.SOCKET_PATH_LIMIT
    assert found.name == name
    if len(str(cache)) < 20:
        assert found.is_relative_to(cache)


def test_a_socket_can_be_made_with_a_path_of_200_characters_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "TEMPORARY", Path("/tmp") / f"t{os.getpid()}")
    home = tmp_path / ("h" * 200)
    folder = run_folder.run_folder(home / ".cache" / "boring-ops-lab", "0123abcd")
    run_folder.make(folder)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "control.sock"))
        assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    finally:
        for path in (folder / "control.sock",):
            path.unlink()
        for path in (folder, folder.parent, folder.parent.parent):
            path.rmdir()


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "run" / "lab"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    run_folder.make(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder.os, "getuid", lambda: 4711)
    with pytest.raises(PermissionError, match="found it taken by user"):
        run_folder.make(tmp_path / "run" / "lab")


def test_a_link_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="to be a folder of this user"):
        run_folder.make(tmp_path / "run" / "lab")
