"""A bundle arrives whole or not at all: truncated, damaged, foreign ones are refused before the cache changes."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.errors import BundleError, DiskFull
from labs.setup.preload import front, load
from labs.setup.preload.manifest import Manifest, Member, is_inside


def everything(folder: Path) -> set[str]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_members_and_wheels_arrive_as_they_were(maker: Any, cache: Path, progress: Any) -> None:
    load.load(maker.make(), [], progress)
    wheels = {f"wheels/{front.wheel_key()}/{path.name}" for path in maker.wheels.iterdir()}
    assert everything(cache) == {*maker.files, *wheels}
    for path, file in maker.files.items():
        assert (cache / path).read_bytes() == file.read_bytes()
        assert (cache / path).stat().st_mode & 0o777 == (0o755 if path.endswith("etcd") else 0o644)


def test_loading_twice_changes_nothing_and_mends_what_is_damaged(maker: Any, cache: Path, progress: Any) -> None:
    bundle = maker.make()
    load.load(bundle, [], progress)
    (cache / "programs/kubernetes-1/etcd").write_text("damaged")
    before = everything(cache)
    load.load(bundle, [], progress)
    assert everything(cache) == before
    assert (cache / "programs/kubernetes-1/etcd").read_bytes() == maker.files["programs/kubernetes-1/etcd"].read_bytes()


def test_parts_are_made_ready_once_their_files_are_there(maker: Any, cache: Path, progress: Any) -> None:
    seen: list[bool] = []

    class Looking:
        def unpacked(self, _: Any) -> None:
            seen.append((cache / "tools/kind-1").exists())

    load.load(maker.make(), [Looking()], progress)  # type: ignore[list-item]
    assert seen == [True]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999))
def test_cut_short_anywhere_it_is_refused_and_nothing_changes(maker: Any, cache: Path, progress: Any, share: float) -> None:
    content = maker.make().read_bytes()
    short = maker.folder / "short.tar.zst"
    short.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match="try: "):
        load.load(short, [], progress)
    assert everything(cache) == set()


def test_a_bundle_without_its_last_bytes_is_refused(maker: Any, cache: Path, progress: Any) -> None:
    bundle = maker.make()
    for lost in (1, 2, 5, 100):
        bundle.write_bytes(maker.make().read_bytes()[:-lost])
        with pytest.raises(BundleError):
            load.load(bundle, [], progress)
    assert everything(cache) == set()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"platform": "linux-s390x"}, r"another platform: expected \S+; found linux-s390x"),
        ({"version": "0.0.9+12345678"}, r"another version of the lab and its pins: expected \S+; found 0\.0\.9\+12345678"),
    ],
)
def test_a_foreign_bundle_is_refused(maker: Any, cache: Path, progress: Any, change: dict[str, str], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        load.load(maker.make(maker.manifest(**change)), [], progress)
    assert everything(cache) == set()


def test_a_member_that_is_not_what_was_packed_is_refused(maker: Any, cache: Path, progress: Any) -> None:
    manifest = maker.manifest()
    damaged = replace(manifest.members[1], sha256="0" * 64)
    with pytest.raises(BundleError, match="tools/kind-1 is damaged: its checksum differs"):
        load.load(maker.make(replace(manifest, members=(manifest.members[0], damaged))), [], progress)
    assert everything(cache) == set()


def test_members_and_list_must_be_the_same(maker: Any, cache: Path, progress: Any) -> None:
    manifest = maker.manifest()
    bundle = maker.make()
    for members, words in (
        (manifest.members[:1], "which is not in its list of contents"),
        (
            (*manifest.members, Member("tools/k3d-1", 1, "0" * 64)),
            "the bundle lacks tools/k3d-1",
        ),
    ):
        wrong = front.pack(replace(manifest, members=members).rows(), [])
        bundle.write_bytes(wrong + archive_of(maker))
        with pytest.raises(BundleError, match=words):
            load.load(bundle, [], progress)
    assert everything(cache) == set()


def archive_of(maker: Any) -> bytes:
    """The part of a bundle behind its front."""
    with maker.make().open("rb") as stream:
        front.read(stream)
        return bytes(stream.read())


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "programs/../../x", "alone", ""])
def test_no_member_leaves_the_cache_folder(maker: Any, path: str) -> None:
    assert not is_inside(path)
    rows = replace(maker.manifest(), members=(Member(path, 1, "0" * 64),)).rows()
    with pytest.raises(BundleError, match="expected paths below the cache folder"):
        Manifest.of(rows)


@pytest.mark.parametrize("rows", [{"format": 2}, {"format": 1}, {"format": 1, "members": [{"path": 1}]}, {}])
def test_a_list_of_contents_of_another_form_is_refused(rows: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        Manifest.of(rows)


@given(content=st.binary(max_size=300))
def test_what_is_no_bundle_is_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "lab.tar.zst"
    other.write_bytes(content)
    with pytest.raises(BundleError):
        load.read_manifest(other)


def test_a_full_disk_is_seen_before_anything_is_written(
    maker: Any, cache: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = maker.make()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    with pytest.raises(DiskFull, match=r"found 0\.0 GB"):
        load.load(bundle, [], progress)
    assert everything(cache) == set()


def test_checking_reads_everything_and_writes_nothing(maker: Any, cache: Path, progress: Any) -> None:
    assert len(load.check(maker.make(), progress).members) == 2
    assert everything(cache) == set()


def test_tools_that_know_zstd_and_tar_read_it(maker: Any) -> None:
    """The front is a frame that the format says to skip."""
    with maker.make().open("rb") as file:
        plain = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        with tarfile.open(mode="r|", fileobj=plain) as archive:
            assert [row.name for row in archive] == list(maker.files)


def test_the_manifest_is_json_that_people_can_read(maker: Any) -> None:
    with maker.make().open("rb") as stream:
        rows = json.loads(front.read(stream).read("manifest.json"))
    assert rows["backend"] == "embedded" and rows["members"][0].keys() == {"path", "bytes", "sha256", "executable"}
