"""Paths of a container's own file system, rewritten to the folder that stands for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded import state as state_files
from labs.embedded.node.model import find_node
from labs.embedded.node.rootfs import TERMINATION_LOG, PathMap, build_root, mounted_paths
from labs.paths import Paths

ROOT = Path("/lab root/c")
NAME = st.text("abcdefgh0123456789_-", min_size=1, max_size=6)
MOUNT = st.lists(NAME, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/etc/conf", "ROOT/etc/conf"),
        ("/etc/conf/a.yaml", "ROOT/etc/conf/a.yaml"),
        ("--config=/etc/conf/a", "--config=ROOT/etc/conf/a"),
        ("cat /etc/conf/a; ls '/etc/conf'", "cat ROOT/etc/conf/a; ls 'ROOT/etc/conf'"),
        ("/bin:/etc/conf:/usr", "/bin:ROOT/etc/conf:/usr"),
        ("unix:///etc/conf/s.sock", "unix://ROOT/etc/conf/s.sock"),
        ("see /etc/conf.", "see ROOT/etc/conf."),
        ("echo x >/etc/conf", "echo x >ROOT/etc/conf"),
        # Not the mount: a longer name, another folder's part, a host's path.
        ("/etc/config", "/etc/config"),
        ("/etc/conf.d/x", "/etc/conf.d/x"),
        ("/etc/conf-old", "/etc/conf-old"),
        ("/usr/etc/conf", "/usr/etc/conf"),
        ("$HOME/etc/conf", "$HOME/etc/conf"),
        ("../etc/conf", "../etc/conf"),
        ("http://host/etc/conf", "http://host/etc/conf"),
    ],
)
def test_what_is_a_mounted_path(text: str, rewritten: str) -> None:
    assert PathMap(ROOT, ["/etc/conf"]).rewrite(text) == rewritten.replace("ROOT", str(ROOT))


@given(MOUNT, st.lists(NAME, max_size=3))
def test_every_path_below_a_mount_is_rewritten_once(mount: str, below: list[str]) -> None:
    path = "/".join([mount, *below])
    paths = PathMap(ROOT, [mount])
    assert paths.rewrite(path) == f"{ROOT}{path}"
    assert paths.rewrite(f"--file={path} {path}") == f"--file={ROOT}{path} {ROOT}{path}"
    assert paths.inside(path) == Path(paths.rewrite(path))


@given(st.lists(MOUNT, min_size=1, max_size=4), MOUNT)
def test_other_paths_stay(mounts: list[str], path: str) -> None:
    below_one = any(path == mount or path.startswith(mount + "/") for mount in mounts)
    assert PathMap(ROOT, mounts).rewrite(path) == (f"{ROOT}{path}" if below_one else path)


@given(st.text(), st.lists(MOUNT, max_size=3))
def test_text_without_a_slash_is_never_touched(text: str, mounts: list[str]) -> None:
    plain = text.replace("/", "")
    assert PathMap(ROOT, mounts).rewrite(plain) == plain


def test_a_mount_on_the_root_or_with_a_trailing_slash() -> None:
    assert PathMap(ROOT, ["/"]).rewrite("/bin/sh") == "/bin/sh"
    assert PathMap(ROOT, ["/data/"]).rewrite("/data/x") == f"{ROOT}/data/x"


def test_mounted_paths_hold_the_containers_own_folders() -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    assert mounted_paths(container, ["/run/gpu"]) == ["/v", "/run/gpu", "/tmp", TERMINATION_LOG]
    assert "/my/log" in mounted_paths({"terminationMessagePath": "/my/log"})


def test_a_root_is_fresh_and_nested_mounts_land_inside(tmp_path: Path) -> None:
    root, outer, inner = tmp_path / "root", tmp_path / "outer", tmp_path / "inner"
    for folder in (outer, inner):
        folder.mkdir()
    (outer / "kept").write_text("x")
    mounts = [("/data/deep", inner), ("/data", outer), ("/tmp", inner)]
    build_root(root, mounts, TERMINATION_LOG)
    (root / "left-over").write_text("")
    (inner / "written").write_text("y")
    build_root(root, mounts, TERMINATION_LOG)
    assert not (root / "left-over").exists()
    assert (root / "data" / "kept").read_text() == "x"
    assert (root / "data" / "deep" / "written").read_text() == (root / "tmp" / "written").read_text() == "y"
    assert (root / TERMINATION_LOG.lstrip("/")).read_text() == ""


@pytest.mark.parametrize("folder", ["plain", "my lab", "it's (mine)"])
def test_a_shell_finds_mounted_paths_whatever_the_checkout_is_called(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / folder / ".lab"
    state.mkdir(parents=True)
    monkeypatch.setenv("LAB_STATE", str(state))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        state_files.link_state()
    root = find_node("app", "app-worker").directory / "root"
    build_root(root, [], TERMINATION_LOG)
    script = PathMap(root, mounted_paths({})).rewrite("echo seen > /tmp/file")
    subprocess.run(["sh", "-c", script], check=True)
    assert (state / "nodes" / "app-worker" / "root" / "tmp" / "file").read_text() == "seen\n"
    assert Paths.current().run_dir().exists() == (folder != "plain")
    state_files.remove()
    assert not state.exists() and not Paths.current().run_dir().exists()
