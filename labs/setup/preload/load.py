"""``lab preload load``: checks a whole bundle before using any of it, then puts it into the cache folder."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import zstandard

from labs import errors
from labs.paths import cache_dir
from labs.setup.preload import front
from labs.setup.preload.manifest import AGAIN, Manifest, Member
from labs.setup.preload.parts import Part
from labs.steps import Progress

CHUNK = 1 << 20
COPY = "copy it again: the checksums that 'lab preload serve' or sha256sum print must be the same on both machines"


def read_manifest(source: Path) -> Manifest:
    """The bundle's manifest.

    Raises:
        BundleError: it is not a bundle, or its beginning is damaged.
    """
    with source.open("rb") as stream:
        return _manifest(stream, source)


def _manifest(stream: IO[bytes], source: Path) -> Manifest:
    try:
        return Manifest.of(front.manifest(front.read(stream)))
    except front.FrontError as error:
        raise errors.BundleError(f"{source}: {error}", fix=COPY) from error


def load(source: Path, parts: Sequence[Part], progress: Progress) -> Manifest:
    """Put every member into the cache folder, replacing what is already there, then make ``parts`` ready for use.

    Raises:
        BundleError: it is truncated, damaged, or for another machine or version; nothing was changed.
    """
    staging = cache_dir() / "preload" / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with source.open("rb") as stream:
            found = _manifest(stream, source)
            found.refuse_foreign()
            require_room(found)
            unpack(stream, found, staging, progress)
        with source.open("rb") as stream:
            front.unpack_wheels(front.read(stream), found.wheels)
        settle(staging, cache_dir())
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for part in parts:
        part.unpacked(progress)
    return found


def require_room(manifest: Manifest) -> None:
    """Raise DiskFull unless the disk has room for the members."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    need, free = sum(member.bytes for member in manifest.members), shutil.disk_usage(folder).free
    if free < need:
        raise errors.DiskFull(
            f"expected {need / 1e9:.1f} GB of free disk in {folder}; found {free / 1e9:.1f} GB",
            fix="free some space, or set XDG_CACHE_HOME to a folder on a larger disk",
        )


def check(source: Path, progress: Progress) -> Manifest:
    """Read a whole bundle and compare every checksum; writes nothing.

    Raises:
        BundleError: it is truncated or damaged.
    """
    with source.open("rb") as stream:
        found = _manifest(stream, source)
        unpack(stream, found, None, progress)
    return found


def unpack(stream: IO[bytes], manifest: Manifest, folder: Path | None, progress: Progress) -> None:
    """Compare every member with the manifest, and write it below ``folder`` if that is given.

    Raises:
        BundleError: a member is missing, damaged, or not in the manifest.
    """
    expected = {member.path: member for member in manifest.members}
    total, done = sum(member.bytes for member in manifest.members) or 1, 0
    for name, content in members(stream):
        if (member := expected.pop(name, None)) is None:
            raise errors.BundleError(f"the bundle has {name}, which is not in its list of contents", fix=AGAIN)
        progress.advance(done / total, name)
        receive(content, member, folder)
        done += member.bytes
    if expected:
        raise errors.BundleError(f"the bundle lacks {min(expected)}, which is in its list of contents", fix=COPY)


def members(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file in the archive after the front.

    Raises:
        BundleError: the archive ends early or cannot be read.
    """
    try:
        with zstandard.ZstdDecompressor().stream_reader(stream) as plain, tarfile.open(mode="r|", fileobj=plain) as archive:
            for row in archive:
                if (content := archive.extractfile(row)) is not None:
                    yield row.name, content
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise errors.BundleError(f"the bundle is damaged or cut short: {error}", fix=COPY) from error


def receive(content: IO[bytes], member: Member, folder: Path | None) -> None:
    """Read one member, write it below ``folder`` if that is given, and compare its checksum."""
    seen = hashlib.sha256()
    path = folder / member.path if folder else Path("/dev/null")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := content.read(CHUNK):
            seen.update(chunk)
            file.write(chunk)
    if seen.hexdigest() != member.sha256:
        raise errors.BundleError(f"{member.path} is damaged: its checksum differs", fix=COPY)
    if folder:
        path.chmod(0o755 if member.executable else 0o644)


def settle(staging: Path, cache: Path) -> None:
    """Move each program folder, tool and image from ``staging`` to its place, with one rename each."""
    for kind in sorted(staging.iterdir()) if staging.exists() else ():
        (cache / kind.name).mkdir(parents=True, exist_ok=True)
        for entry in sorted(kind.iterdir()):
            target = cache / kind.name / entry.name
            if target.is_dir():
                shutil.rmtree(target)
            entry.replace(target)
