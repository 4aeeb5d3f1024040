"""The manifest of a bundle, and whether the bundle is for this machine and this version of the lab."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from labs import config, errors
from labs.setup.preload import front
from labs.version import VERSION

FORMAT = 1
PINS = (config.CLUSTERS / "versions.toml", config.ROOT / "requirements.lock")


@dataclass(frozen=True)
class Member:
    """One file: its path below the cache folder, its size in bytes, and its SHA-256."""

    path: str
    bytes: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """The list of a bundle's members, and the machines it is for.

    ``wheels`` is the key of the Python packages in the front: see ``front.wheel_key``.
    """

    backend: str
    platform: str
    version: str
    wheels: str
    members: tuple[Member, ...]
    format: int = FORMAT

    def rows(self) -> dict[str, Any]:
        """The manifest as JSON rows."""
        return asdict(self)

    @classmethod
    def of(cls, rows: dict[str, Any]) -> Manifest:
        """Read what ``rows`` returned.

        Raises:
            BundleError: it has another format or cannot be read, or a member would be written outside the cache folder.
        """
        if rows.get("format") != FORMAT:
            raise errors.BundleError(f"expected a bundle of format {FORMAT}; found {rows.get('format')}", fix=AGAIN)
        try:
            members = tuple(Member(**row) for row in rows["members"])
            found = cls(**{**rows, "members": members})
        except (KeyError, TypeError) as error:
            raise errors.BundleError(f"the bundle's list of contents cannot be read: {error}", fix=AGAIN) from error
        if outside := [member.path for member in members if not is_inside(member.path)]:
            raise errors.BundleError(f"expected paths below the cache folder; found {outside[0]!r}", fix=AGAIN)
        return found

    def refuse_foreign(self) -> None:
        """Raise BundleError unless it is for this platform and this version of the lab."""
        for what, found, expected in (
            ("platform", self.platform, front.platform_name()),
            ("version of the lab and its pins", self.version, version()),
        ):
            if found != expected:
                raise errors.BundleError(f"the bundle is for another {what}: expected {expected}; found {found}", fix=AGAIN)


AGAIN = "create one here or on a machine like this: lab preload save"


def version() -> str:
    """The lab's version and a hash of everything it pins: a bundle fits only the version that made it."""
    pins = hashlib.sha256(b"\0".join(path.read_bytes() for path in PINS)).hexdigest()[:8]
    return f"{VERSION}+{pins}"


def is_inside(path: str) -> bool:
    """Whether a member's path stays below the folder that it is unpacked into."""
    parts = PurePosixPath(path).parts
    return len(parts) >= 2 and not path.startswith("/") and ".." not in parts
