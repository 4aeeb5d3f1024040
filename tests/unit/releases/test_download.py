"""A download is whole and what was published, or it is not there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import config, download, errors, releases
from tests.support.release_site import Site, mirror, path_of

CONTENT = bytes(range(256)) * 4000
SUM = hashlib.sha256(CONTENT).hexdigest()
URL = "https://example.test/a/program"
LINUX = releases.Platform("linux", "amd64")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    with mirror(monkeypatch, tmp_path / "cache") as found:
        found.files[path_of(URL)] = CONTENT
        yield found


def test_whole_file_and_nothing_else(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download.fetch(URL, tmp_path / "program", SUM, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "program").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["program"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_is_continued_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.cuts[path_of(URL)] = [300_000, 200_000]
    download.fetch(URL, tmp_path / "program", SUM)
    assert (tmp_path / "program").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_what_an_interrupted_call_left_is_continued_by_the_next(site: Site, tmp_path: Path) -> None:
    site.cuts[path_of(URL)] = [100_000, 1, 1]
    with pytest.raises(errors.SiteUnreachable, match="the connection ended after 100002 of 1024000 bytes"):
        download.fetch(URL, tmp_path / "program", SUM)
    assert not (tmp_path / "program").exists(), "a truncated file never appears under its name"
    download.fetch(URL, tmp_path / "program", SUM)
    assert site.asked[-1] == (path_of(URL), "bytes=100002-")
    assert (tmp_path / "program").read_bytes() == CONTENT


def test_the_wrong_checksum_is_refused_and_the_next_call_starts_over(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "program"
    target.write_bytes(b"the old one")
    site.files[path_of(URL)] = CONTENT[:-1] + b"!"
    with pytest.raises(errors.ChecksumMismatch, match=f"expected SHA-256 {SUM}; found"):
        download.fetch(URL, target, SUM)
    assert target.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [target]
    site.files[path_of(URL)] = CONTENT
    download.fetch(URL, target, SUM)
    assert target.read_bytes() == CONTENT


def test_all_of_it_was_there_already(site: Site, tmp_path: Path) -> None:
    (tmp_path / f".program.{SUM[:12]}.part").write_bytes(CONTENT)
    download.fetch(URL, tmp_path / "program", SUM)
    assert (tmp_path / "program").read_bytes() == CONTENT


def test_a_busy_site_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.broken = 2
    download.fetch(URL, tmp_path / "program", SUM)
    assert len(site.asked) == 3


def test_a_missing_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    with pytest.raises(errors.DownloadError, match="404") as caught:
        download.fetch("https://example.test/none", tmp_path / "program", SUM)
    assert not isinstance(caught.value, errors.SiteUnreachable)
    assert len(site.asked) == 1


def test_a_site_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "PAUSES", ())
    with Site() as gone:
        pass
    monkeypatch.setenv("LAB_MIRROR", gone.url)
    with pytest.raises(errors.SiteUnreachable, match=r"127\.0\.0\.1:\d+ does not answer") as caught:
        download.fetch(URL, tmp_path / "program", SUM)
    assert "HTTPS_PROXY" in caught.value.fix and "LAB_MIRROR" in caught.value.fix


def test_a_site_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LAB_MIRROR", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(errors.SiteUnreachable, match="timed out"):
            download.text(URL, timeout=0.1)


@pytest.mark.parametrize(
    "sums",
    [
        SUM,
        f"{SUM}\n",
        f"{SUM}  program\n",
        f"{SUM.upper()} *program\n",
        f"{'0' * 64}  _dist/other\n{SUM}  _dist/program\n",
    ],
)
def test_the_forms_of_checksum_files(sums: str) -> None:
    assert download.published(sums, "program") == SUM


@pytest.mark.parametrize("sums", ["", "<html>Log in to the hotel's network</html>", f"{SUM}  program.exe", f"{SUM[1:]}  program"])
def test_a_checksum_that_is_not_there(sums: str) -> None:
    with pytest.raises(errors.DownloadError, match="expected the SHA-256 of program"):
        download.published(sums, "program")


@given(st.text())
def test_no_text_gives_anything_but_a_checksum_or_an_error(sums: str) -> None:
    try:
        assert len(download.published(sums, "program")) == 64
    except errors.DownloadError:
        pass


def archive(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_a_program_in_an_archive(site: Site, tmp_path: Path) -> None:
    etcd = releases.asset("etcd", LINUX)
    assert etcd.member
    site.publish(etcd, archive(etcd.member, b"#!/bin/sh\n"))
    etcd.fetch(tmp_path / "etcd")
    assert (tmp_path / "etcd").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "etcd").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["etcd"]


def test_an_archive_without_the_program(site: Site, tmp_path: Path) -> None:
    etcd = releases.asset("etcd", LINUX)
    site.publish(etcd, archive("README", b""))
    with pytest.raises(errors.DownloadError, match="it is missing"):
        etcd.fetch(tmp_path / "etcd")
    assert not (tmp_path / "etcd").exists()


def test_urls_of_the_pinned_releases() -> None:
    pins = config.versions()
    kind = releases.asset("kind", releases.Platform("darwin", "arm64"))
    assert kind.url.endswith(f"/v{pins['kind']['version']}/kind-darwin-arm64")
    assert kind.checksums == f"{kind.url}.sha256sum"
    server = releases.asset("kube-apiserver", LINUX)
    assert server.url == f"https://dl.k8s.io/release/v{pins['kubernetes']['version']}/bin/linux/amd64/kube-apiserver"
    assert releases.asset("linkerd", releases.Platform("darwin", "amd64")).url.endswith("-darwin")
    assert releases.asset("linkerd", releases.Platform("darwin", "arm64")).url.endswith("-darwin-arm64")


def test_every_program_has_a_pin_and_no_open_words() -> None:
    for program in releases.programs():
        for platform in (LINUX, releases.Platform("linux", "arm64"), releases.Platform("darwin", "arm64")):
            asset = releases.asset(program, platform)
            assert "{" not in f"{asset.url}{asset.checksums}{asset.member}" and asset.version in asset.url


def test_a_program_nobody_pinned() -> None:
    with pytest.raises(errors.NotFound, match="no program named 'helm'; there are: etcd, k3d"):
        releases.asset("helm", LINUX)


@pytest.mark.parametrize(("system", "machine"), [("win32", "AMD64"), ("linux", "riscv64")])
def test_a_platform_without_releases(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(releases.sys, "platform", system)
    monkeypatch.setattr(releases.platform, "machine", lambda: machine)
    with pytest.raises(errors.UnsupportedPlatform, match=f"found {system} on {machine}"):
        releases.this_platform()
