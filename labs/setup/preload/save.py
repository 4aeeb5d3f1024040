"""``lab preload save``: gather what the backend needs and write it into one file."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import zstandard

from labs import config, errors
from labs.embedded.manifest import digest
from labs.paths import cache_dir
from labs.setup import pip_settings
from labs.setup.preload import front
from labs.setup.preload.manifest import Manifest, Member, version
from labs.setup.preload.parts import Part
from labs.steps import Action, Progress, run_steps

LEVEL = 6
"""Compression level: programs shrink to a third; higher levels take minutes and gain only a few per cent."""
PIP_TIMEOUT = 1800.0


def save(target: Path, backend: str, parts: Sequence[Part], progress: Progress) -> Manifest:
    """Write the bundle; ``target`` appears only when it is complete.

    Raises:
        LabError: a part is not available; nothing was written.
    """
    with tempfile.TemporaryDirectory(dir=_made(cache_dir())) as wheels:
        steps = [Action("Python packages", partial(download_wheels, Path(wheels)))]
        steps += [Action(part.title, part.gather) for part in parts]
        run_steps(steps, progress)
        files = {path: file for part in parts for path, file in part.files.items()}
        members = tuple(describe(path, file) for path, file in files.items())
        found = Manifest(backend, front.platform_name(), version(), front.wheel_key(), members)
        run_steps([Action(f"Writing {target.name}", partial(write, target, found, files, Path(wheels)))], progress)
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download_wheels(folder: Path, progress: Progress) -> None:
    """Download the packages in requirements.lock for this Python and platform; pip compares their hashes with the lock's.

    Raises:
        CommandFailed: there is no network, or a package has no wheel for this platform.
    """
    options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-I", "-m", "pip", "download", *options]
    command += ["--requirement", str(config.ROOT / "requirements.lock"), "--dest", str(folder)]
    progress.note("downloading")
    environment = pip_settings.environment(sys.executable)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False)
    if done.returncode:
        raise errors.CommandFailed(command, done.returncode, done.stderr, fix="check the network, then the same command again")


def describe(path: str, file: Path) -> Member:
    """A file as the manifest lists it."""
    return Member(path, file.stat().st_size, digest(file), os.access(file, os.X_OK))


def write(target: Path, manifest: Manifest, files: dict[str, Path], wheels: Path, progress: Progress) -> None:
    """Write the front, then the archive of ``files`` (member → file), in the manifest's order."""
    draft = target.with_name(f".{target.name}.part")
    total, done = sum(member.bytes for member in manifest.members), 0
    try:
        with draft.open("wb") as output:
            output.write(front.pack(manifest.rows(), sorted(wheels.iterdir())))
            compressor = zstandard.ZstdCompressor(level=LEVEL, threads=-1)
            with compressor.stream_writer(output, closefd=False) as stream, tarfile.open(mode="w|", fileobj=stream) as archive:
                for member in manifest.members:
                    progress.advance(done / total, member.path)
                    add(archive, member, files[member.path])
                    done += member.bytes
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def add(archive: tarfile.TarFile, member: Member, file: Path) -> None:
    """Add one member without this machine's owner and times, so that the same parts give the same bytes."""
    row = tarfile.TarInfo(member.path)
    row.size, row.mode = member.bytes, 0o755 if member.executable else 0o644
    with file.open("rb") as content:
        archive.addfile(row, content)
