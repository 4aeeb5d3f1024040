"""Images: a table from image repository to command, since this backend has no containers to unpack images into."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from labs import config
from labs.paths import Paths

TABLE = config.CLUSTERS / "embedded" / "images.toml"
_REPOSITORY = r"(?:(?P<host>(?:localhost|[\w-]+(?:\.[\w-]+)+)(?::\d+)?|[\w-]+:\d+)/)?(?P<path>[^@:]+)"
_REFERENCE = re.compile(_REPOSITORY + r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")


class InvalidImageName(Exception):
    """The name is not an image reference; the message is the kubelet's."""


@dataclass(frozen=True)
class Image:
    """An image this backend can run: what replaces its ENTRYPOINT and CMD."""

    repository: str
    entrypoint: list[str]
    command: list[str]
    runs_as_root: bool = False
    """Whether the image that the row stands for names no other user; matters for ``runAsNonRoot``."""

    @property
    def is_present(self) -> bool:
        """Whether its program is there: Prometheus may still be compiling, which counts as pulling."""
        return not self.entrypoint or Path(self.entrypoint[0]).exists()


def normalize(name: str) -> str:
    """The full reference, as a runtime reports it: registry, ``library/`` and tag filled in.

    >>> normalize("busybox"), normalize("boring-ops-lab/lab:dev")
    ('docker.io/library/busybox:latest', 'docker.io/boring-ops-lab/lab:dev')

    Raises:
        InvalidImageName: it is not an image reference.
    """
    match = _REFERENCE.fullmatch(name)
    if not match or not _PATH.fullmatch(match["path"]):
        raise InvalidImageName(_complaint(name))
    path, host = match["path"], match["host"] or "docker.io"
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    suffix = f"@{match['digest']}" if match["digest"] else f":{match['tag'] or 'latest'}"
    return f"{host}/{path}{suffix}"


def _complaint(name: str) -> str:
    # Upper case in the first of several parts does not count: that part is taken for a registry's host.
    parts = re.split(r"[/:@]", name)
    upper = next((part for part in parts[1 if "/" in name else 0 :] if part != part.lower()), None)
    reason = f": repository name ({upper}) must be lowercase" if upper else ""
    return f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": invalid reference format{reason}'


class ImageTable:
    """The rows of ``clusters/embedded/images.toml``."""

    def __init__(self) -> None:
        self._rows = tomllib.loads(TABLE.read_text())

    def find(self, name: str) -> Image | None:
        """The image ``name`` refers to (any tag), or None if this backend has nothing for it."""
        repository = re.split(r"[:@]", normalize(name).removeprefix("docker.io/").removeprefix("library/"))[0]
        row = self._rows.get(repository)
        if row is None:
            return None
        entrypoint, command = ([self._fill(word) for word in row.get(key, [])] for key in ("entrypoint", "command"))
        return Image(repository, entrypoint, command, row.get("user") == 0)

    def pull_error(self, name: str) -> str:
        """Why ``name`` cannot be pulled, and what can be run instead."""
        return (
            f'failed to pull and unpack image "{normalize(name)}": the embedded backend runs processes and pulls no images; '
            f"it can run: {', '.join(sorted(self._rows))} (clusters/embedded/images.toml)"
        )

    @staticmethod
    def _fill(word: str) -> str:
        return word.format(python=sys.executable, bin=Paths.current().bin)
