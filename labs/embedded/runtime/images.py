"""Images of a sandbox: rows of a table, as on the fallback; here a row also lists the files of the machine it needs."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from labs import config
from labs.embedded.node.images import TABLE, normalize
from labs.embedded.runtime.spec import Mount
from labs.paths import Paths, cache_dir

HIDDEN = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh", "/etc/ssl/private", "/etc/kubernetes")
"""Files of the machine that no container needs."""


@dataclass(frozen=True)
class Image:
    """What replaces an image: its ENTRYPOINT, CMD and user, and paths of the machine bound read-only into the container."""

    repository: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    """Path in the container → path of the machine."""
    user: int = 0
    env: dict[str, str] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Changes when the row does."""
        row = [self.repository, self.entrypoint, self.command, self.files, self.user, self.env]
        return f"sha256:{hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()}"

    @property
    def reference(self) -> str:
        return f"{normalize(self.repository).rpartition(':')[0]}@{self.id}"

    @property
    def is_present(self) -> bool:
        """Whether its files exist: a program still being compiled counts as an image being pulled."""
        programs = [word for word in self.entrypoint[:1] if word.startswith("/") and word not in self.files]
        return all(Path(path).exists() for path in [*self.files.values(), *programs])

    def mounts(self) -> tuple[Mount, ...]:
        return tuple(Mount(source, target, readonly=True) for target, source in sorted(self.files.items()))


class ImageTable:
    """The rows of the lab's table and of ``more``, tables of the same form; later ones win."""

    def __init__(self, more: Sequence[Path] = ()) -> None:
        self._rows: dict[str, dict[str, object]] = {}
        for table in (TABLE, *more):
            self._rows |= tomllib.loads(table.read_text())

    def find(self, name: str) -> Image | None:
        """The image that ``name`` refers to (any tag, a digest, or an image's own id), or None if no row stands for it."""
        if name.startswith("sha256:"):
            return next((image for image in self.all() if image.id == name), None)
        short = normalize(name).removeprefix("docker.io/").removeprefix("library/")
        repository = re.split(r"@|:(?=[^/]*$)", short)[0]
        row = self._rows.get(repository)
        return None if row is None else self._image(repository, row)

    def all(self) -> list[Image]:
        return [self._image(repository, row) for repository, row in self._rows.items()]

    def pull_error(self, name: str) -> str:
        """Why ``name`` cannot be pulled, and what can be run instead."""
        known = ", ".join(sorted(self._rows))
        return (
            f'failed to pull and unpack image "{normalize(name)}": the embedded backend runs programs of this machine and pulls '
            f"no images; it can run: {known} (clusters/embedded/images.toml)"
        )

    @staticmethod
    def _image(repository: str, row: dict[str, object]) -> Image:
        words = {key: tuple(_fill(word) for word in _list(row.get(key, []))) for key in ("entrypoint", "command")}
        files = {target: _fill(source) for target, source in _table(row.get("files", {})).items()}
        everything = "".join(_list(row.get("entrypoint", [])))
        if "{python}" in everything:
            files |= {path: path for path in python_files()}
        if "{bin}" in everything:
            files |= program_files(words["entrypoint"][0])
        user = row.get("user", 0)
        assert isinstance(user, int)
        return Image(repository, words["entrypoint"], words["command"], files, user, _table(row.get("env", {})))


def _list(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(word) for word in value]


def _table(value: object) -> dict[str, str]:
    assert isinstance(value, dict)
    return {str(key): str(word) for key, word in value.items()}


def _fill(word: str) -> str:
    return word.format(python=sys.executable, bin=Paths.current().bin)


def python_files() -> list[str]:
    """What the lab's own programs need: this environment, the Python it was made from, the package, the versions."""
    folders = [Path(sys.prefix), Path(sys.base_prefix), config.ROOT / "labs", config.ROOT / "clusters"]
    return sorted({str(path) for path in folders if not _is_layered(path)})


def program_files(program: str) -> dict[str, str]:
    """A program that is a link into the cache appears at the link's path, wherever it leads."""
    target = Path(program).resolve()
    return {program: str(target)}


def _is_layered(path: Path) -> bool:
    """Whether the container sees the path without a mount."""
    return path.parts[1] in ("usr", "bin", "lib", "lib64") and path.exists()


def hidden() -> tuple[str, ...]:
    """Paths that no container sees: keys, homes, the lab's state and cache, where they are below what it sees at all."""
    return (*HIDDEN, *sorted({str(path) for path in (Path.home(), config.ROOT, Paths.current().state, cache_dir())}))
