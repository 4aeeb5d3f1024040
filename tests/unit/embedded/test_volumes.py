"""Volumes: their modes, where those in memory live, and that no path leads out of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded import shared_memory
from labs.embedded.node.context import PodContext
from labs.embedded.node.volumes import MountError, sub_path
from tests.unit.embedded.fake_services import context

PARTS = st.lists(st.sampled_from(["..", ".", "a", "b c", "", "...", "..a"]), min_size=1, max_size=5)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", folder)
    return folder


def mounted(folder: Path, empty_dir: dict[str, Any], **mount: Any) -> PodContext:
    main = {"name": "main", "image": "busybox:1", "volumeMounts": [{"name": "v", "mountPath": "/v"} | mount]}
    return context(folder, containers=[main], volumes=[{"name": "v", "emptyDir": empty_dir}])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize(("spec", "expected"), [({}, 0o777), ({"mode": 0o1770}, 0o1770)])
@pytest.mark.parametrize("medium", ["", "Memory"])
async def test_modes_of_an_empty_dir(tmp_path: Path, memory: Path, spec: dict[str, Any], expected: int, medium: str) -> None:
    pod = mounted(tmp_path / "pod", spec | {"medium": medium})
    before = os.umask(0o077)
    try:
        await pod.volumes.set_up()
    finally:
        os.umask(before)
    ((_, source),) = pod.volumes.mounts(pod.record.containers["main"])
    assert mode(source) == expected
    source.chmod(0o700)  # a program's own choice stays
    await pod.volumes.set_up()
    assert mode(source) == 0o700


async def test_memory_is_given_back(tmp_path: Path, memory: Path) -> None:
    pod = mounted(tmp_path / "pod", {"medium": "Memory"})
    await pod.volumes.set_up()
    ((_, source),) = pod.volumes.mounts(pod.record.containers["main"])
    (source / "file").write_text("kept in memory")
    assert source.resolve().is_relative_to(memory)
    assert mode(source.resolve().parent) == 0o700
    pod.volumes.remove()
    assert not list(memory.glob("*/*"))
    shared_memory.remove_all()
    assert not list(memory.iterdir())


async def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = mounted(tmp_path / "pod", {"medium": "Memory"})
    monkeypatch.setattr(shared_memory.os, "getuid", lambda: 4711)
    with pytest.raises(MountError, match=r"expected .* to be a folder of user 4711"):
        await pod.volumes.set_up()


async def test_the_folders_of_a_sub_path_are_open_to_everybody(tmp_path: Path) -> None:
    pod = mounted(tmp_path, {}, subPath="one/two")
    await pod.volumes.set_up()
    ((_, source),) = pod.volumes.mounts(pod.record.containers["main"])
    assert (mode(source), mode(source.parent)) == (0o777, 0o777)


async def test_a_link_that_a_program_made_leads_nowhere(tmp_path: Path) -> None:
    pod = mounted(tmp_path, {}, subPath="trap/etc")
    await pod.volumes.set_up()
    (pod.volumes.path("v") / "trap").symlink_to("/")
    with pytest.raises(MountError, match='failed to prepare subPath for volumeMount "v" of container "main"'):
        pod.volumes.mounts(pod.record.containers["main"])


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("$(P)", "error SubPath `/etc` must not be an absolute path"),
        ("$(UP)/etc", r"unable to provision SubPath `\.\./\.\./etc`: must not contain '\.\.'"),
        ("$(NOPE)", 'missing value for "NOPE"'),
    ],
)
def test_a_path_out_of_its_volume_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(MountError, match=complaint):
        sub_path({"subPathExpr": expression}, {"P": "/etc", "UP": "../.."})


@given(parts=PARTS, absolute=st.booleans())
def test_no_path_leaves_its_volume(parts: list[str], absolute: bool) -> None:
    text = "/" * absolute + "/".join(parts)
    try:
        found = sub_path({"subPathExpr": "$(P)"}, {"P": text})
    except MountError:
        return
    assert Path(os.path.normpath(Path("/volume") / found)).is_relative_to("/volume")
