"""The front of a bundle: manifest and Python packages. Standard library only: ``scripts/bootstrap.py`` reads it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import struct
import sys
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from labs.wire import no_proxy

MAGIC = 0x184D2A50
"""Marks a skippable frame (RFC 8878, section 3.1.2); its size follows, as four bytes in little-endian order."""
HEADER = struct.Struct("<II")
MANIFEST = "manifest.json"
WHEELS = "wheels/"
ROOT = Path(__file__).resolve().parents[3]
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class FrontError(ValueError):
    """The file does not begin like a bundle, or the bundle is for another machine."""


def open_source(source: str) -> IO[bytes]:
    """A stream of a bundle's bytes, from a file or an ``http://`` address."""
    if source.startswith(("http://", "https://")):
        return no_proxy.open_url(urllib.request.Request(source), timeout=30)
    return open(source, "rb")


def read(source: IO[bytes]) -> zipfile.ZipFile:
    """The front, leaving ``source`` at the first byte after it.

    Raises:
        FrontError: it is something else, or truncated.
    """
    header = source.read(HEADER.size)
    magic, size = HEADER.unpack(header) if len(header) == HEADER.size else (0, 0)
    if magic != MAGIC:
        raise FrontError("expected a bundle made by 'lab preload save'; found something else")
    content = source.read(size)
    if len(content) != size:
        raise FrontError(f"expected {size} bytes at its beginning; found {len(content)}: it was cut short")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise FrontError(f"its beginning is damaged: {error}") from error


def manifest(front: zipfile.ZipFile) -> dict[str, Any]:
    """The bundle's manifest, as JSON.

    Raises:
        FrontError: it cannot be read.
    """
    try:
        found = json.loads(front.read(MANIFEST))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FrontError(f"its list of contents cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise FrontError("its list of contents cannot be read")
    return found


def pack(rows: dict[str, Any], wheels: Iterable[Path]) -> bytes:
    """The frame with a manifest and wheels, including the header. Wheels are already compressed, so they are only stored."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as front:
        front.writestr(MANIFEST, json.dumps(rows, indent=1))
        for wheel in wheels:
            front.write(wheel, WHEELS + wheel.name)
    content = buffer.getvalue()
    return HEADER.pack(MAGIC, len(content)) + content


def wheel_key(lock: Path = ROOT / "requirements.lock") -> str:
    """Identifies the wheels that fit: by the pins, the Python and the platform.

    A lock may pin a package differently from a certain release of Python on (3.11.5, for example): the number after ``cp311``
    counts how many of these limits this Python has passed.
    """
    text = lock.read_text()
    limits = {tuple(map(int, found.split("."))) for found in re.findall(r"python_full_version [<>=]+ '([\d.]+)'", text)}
    passed = sum(limit <= sys.version_info[:3] for limit in limits)
    pins = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{pins}-cp{sys.version_info.major}{sys.version_info.minor}.{passed}-{platform_name()}"


def platform_name() -> str:
    """This machine's platform as bundles name it, for example ``linux-amd64``."""
    return f"{sys.platform}-{MACHINES.get(platform.machine(), platform.machine().lower())}"


def cache_dir() -> Path:
    """The user's cache folder for the lab, the same as ``labs.paths.cache_dir``."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(named or Path.home() / ".cache") / "boring-ops-lab"
    except RuntimeError:
        return ROOT / ".cache"


def wheel_folder(key: str | None = None) -> Path:
    """The folder for the wheels of a key; it exists only once all of them are in it."""
    return cache_dir() / "wheels" / (key or wheel_key())


def unpack_wheels(front: zipfile.ZipFile, key: str) -> Path:
    """Put the wheels into their folder, in one rename. Pip checks their hashes against ``requirements.lock``."""
    folder = wheel_folder(key)
    if folder.exists():
        return folder
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in front.namelist():
        if name.startswith(WHEELS):
            (draft / Path(name).name).write_bytes(front.read(name))
    draft.rename(folder)
    return folder


def prepare(source: str) -> Path:
    """Unpack the wheels for this Python from the bundle at ``source``; returns their folder.

    Raises:
        FrontError: it is not a bundle, or it is for another Python, platform or version of the lab.
        OSError: it cannot be read.
    """
    with open_source(source) as stream:
        front = read(stream)
        found = str(manifest(front).get("wheels"))
    if found != wheel_key():
        here = f"Python {platform.python_version()}, {wheel_key()} (pins, Python, platform)"
        raise FrontError(f"expected packages for {here}; found {found}")
    return unpack_wheels(front, found)
