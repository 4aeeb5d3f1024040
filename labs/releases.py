"""The pinned programs as their projects publish them: where they are, their checksums, and where the lab keeps them."""

from __future__ import annotations

import platform
import shutil
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labs import config, download, errors
from labs.paths import cache_dir

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""What the system calls the processor → what releases call it."""


@dataclass(frozen=True)
class Platform:
    """An operating system and a processor, in the words of release files."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}-{self.arch}"


def this_platform() -> Platform:
    """The platform of this machine.

    Raises:
        UnsupportedPlatform: nobody publishes the lab's programs for it.
    """
    arch = MACHINES.get(platform.machine().lower())
    if sys.platform not in ("linux", "darwin") or arch is None:
        raise errors.UnsupportedPlatform(
            f"expected Linux or macOS on amd64 or arm64; found {sys.platform} on {platform.machine()}",
            fix="on Windows, use WSL2",
        )
    return Platform(sys.platform, arch)


@dataclass(frozen=True)
class Asset:
    """One published program. ``member`` is its path inside the archive, None where the file is the program itself."""

    program: str
    version: str
    platform: Platform
    url: str
    checksums: str
    member: str | None = None

    @property
    def cached(self) -> Path:
        """Where the lab keeps it, once it was fetched."""
        return cache_dir() / "tools" / f"{self.program}-{self.version}-{self.platform}"

    def published_sha256(self, timeout: float = download.IDLE_TIMEOUT) -> str:
        """The checksum that stands beside the file on its site; ``timeout`` in seconds."""
        return download.published(download.text(self.checksums, timeout), self.url.rpartition("/")[2])

    def fetch(self, target: Path, report: download.Report = lambda done, total: None, sha256: str | None = None) -> None:
        """Fetch the program into ``target``, verified and executable.

        Raises:
            SiteUnreachable, ChecksumMismatch, DownloadError: see ``labs.download``.
        """
        sha256 = sha256 or self.published_sha256()
        if self.member is None:
            download.fetch(self.url, target, sha256, report)
        else:
            archive = target.with_name(f"{target.name}.tar.gz")
            download.fetch(self.url, archive, sha256, report)
            extract(archive, self.member, target)
            archive.unlink()
        target.chmod(0o755)

    def ensure(self, report: download.Report = lambda done, total: None) -> Path:
        """The cached program; fetched if it is not there yet."""
        if not self.cached.exists():
            self.fetch(self.cached, report)
        return self.cached


def extract(archive: Path, member: str, target: Path) -> None:
    """Take one file out of a tar archive.

    Raises:
        DownloadError: the archive does not have it.
    """
    with tarfile.open(archive) as tar:
        try:
            source = tar.extractfile(member)
        except KeyError:
            source = None
        if source is None:
            raise errors.DownloadError(f"expected {member} in {archive.name}; it is missing", fix="check clusters/downloads.toml")
        draft = target.with_name(f".{target.name}.draft")
        with draft.open("wb") as file:
            shutil.copyfileobj(source, file)
    draft.replace(target)


@cache
def _sites() -> dict[str, Any]:
    return tomllib.loads((config.CLUSTERS / "downloads.toml").read_text())


def programs() -> list[str]:
    """Every program that can be fetched."""
    return [program for site in _sites().values() for program in site["programs"]]


def k3s_images(version: str) -> str:
    """Where the release ``version`` of k3s (v1.36.1+k3s1) lists the images that its nodes pull."""
    return str(_sites()["k3s"]["images"]).format(version=quote(version))


def asset(program: str, where: Platform | None = None) -> Asset:
    """The pinned release of ``program`` for ``where`` (this machine, if not given).

    Raises:
        NotFound: ``clusters/downloads.toml`` does not know the program.
    """
    where = where or this_platform()
    for pin, site in _sites().items():
        if program in site["programs"]:
            version = config.versions()[pin]["version"]
            name = site.get("platforms", {}).get(str(where), str(where))
            words = {"version": version, "program": program, "os": where.os, "arch": where.arch, "platform": name}
            member = site["member"].format(**words) if "member" in site else None
            return Asset(program, version, where, site["url"].format(**words), site["checksums"].format(**words), member)
    raise errors.NotFound("program", program, programs())
