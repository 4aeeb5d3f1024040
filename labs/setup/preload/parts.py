"""What a lab needs besides its Python packages: each part knows its place in the cache, how to get it, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labs import errors, releases
from labs.clusters import images
from labs.clusters.docker import engine as docker
from labs.embedded import manifest as checksums
from labs.embedded import programs
from labs.embedded.recipes import Recipe
from labs.paths import cache_dir
from labs.steps import Progress


class Part(Protocol):
    """Part of a bundle. ``files`` are its members (path below the cache folder → file), once ``gather`` has run."""

    @property
    def title(self) -> str: ...

    @property
    def files(self) -> dict[str, Path]: ...

    def gather(self, progress: Progress) -> None:
        """Download, compile or export it, unless that has been done already."""

    def missing(self) -> str | None:
        """What a lab without a network would lack on this machine, or None."""

    def unpacked(self, progress: Progress) -> None:
        """Called once its files are in the cache folder: do whatever else makes them usable."""


@dataclass(frozen=True)
class Programs:
    """The embedded backend's compiled programs from one recipe; ``ensure`` compiles them."""

    recipe: Recipe
    ensure: Callable[[Progress], None]

    @property
    def title(self) -> str:
        return self.recipe.title

    @property
    def files(self) -> dict[str, Path]:
        source = programs.folder(self.recipe)
        return {f"programs/{self.recipe.output.name}/{name}": source / name for name in self.recipe.programs}

    def gather(self, progress: Progress) -> None:
        self.ensure(progress)

    def missing(self) -> str | None:
        ready_made = programs.folder(self.recipe) != self.recipe.output
        return None if ready_made else checksums.damage(self.recipe.output, self.recipe.programs)

    def unpacked(self, progress: Progress) -> None:
        """Write the cache's own list of checksums; the programs have already been checked against the bundle's."""
        checksums.write(self.recipe.output, self.recipe.programs)


@dataclass(frozen=True)
class Tool:
    """A pinned command-line program, as its project publishes it."""

    asset: releases.Asset

    @property
    def title(self) -> str:
        return f"{self.asset.program} {self.asset.version}"

    @property
    def files(self) -> dict[str, Path]:
        return {f"tools/{self.asset.cached.name}": self.asset.cached}

    def gather(self, progress: Progress) -> None:
        self.asset.ensure(lambda done, total: progress.note(f"{done / 1e6:.0f} MB"))

    def missing(self) -> str | None:
        return None if self.asset.cached.exists() else f"{self.asset.cached} is not there"

    def unpacked(self, progress: Progress) -> None:
        """``lab tools`` and ``lab up`` find it in the cache."""


@dataclass(frozen=True)
class NodeImage:
    """An image that pods use: an archive that ``lab up`` loads into the nodes."""

    name: str

    @property
    def title(self) -> str:
        return f"image {self.name}"

    @property
    def archive(self) -> Path:
        return images.archive(self.name)

    @property
    def files(self) -> dict[str, Path]:
        return {str(self.archive.relative_to(cache_dir())): self.archive}

    def gather(self, progress: Progress) -> None:
        """Make the engine pull it for its own platform (the only one that goes into the bundle) and export it."""
        engine = docker.engine()
        name = self.name.partition("@")[0]
        if self.name == images.LAB_IMAGE:
            images.ensure_lab_image()
        elif not docker.has_image(self.name):
            progress.note(f"pulling {self.name}")
            images.pull(self.name, engine)
        if name != self.name:
            # An archive keeps only tags.
            docker.docker("image", "tag", self.name, name)
        progress.note(f"exporting {name}")
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        draft = self.archive.with_suffix(".tmp")
        images.save([name], draft, engine)
        draft.replace(self.archive)

    def missing(self) -> str | None:
        return None if self.archive.exists() else f"{self.archive} is not there"

    def unpacked(self, progress: Progress) -> None:
        """``lab up`` loads it into the nodes."""


@dataclass(frozen=True)
class EngineImage(NodeImage):
    """An image that the engine itself must have: the node images, and the lab's own, which is built here."""

    @property
    def archive(self) -> Path:
        return cache_dir() / "engine-images" / images.archive(self.name).name

    def missing(self) -> str | None:
        return None if docker.has_image(self.name.partition("@")[0]) else f"Docker has no image {self.name}"

    def unpacked(self, progress: Progress) -> None:
        progress.note(f"loading {self.name} into Docker")
        docker.docker("image", "load", "--quiet", "--input", str(self.archive), timeout=images.PULL_TIMEOUT)


@dataclass(frozen=True)
class NodeImages:
    """Images for the nodes whose names are known only later, from a program or a list in the bundle."""

    title: str
    names: Callable[[], list[str]]

    @property
    def files(self) -> dict[str, Path]:
        return {path: file for name in self.names() for path, file in NodeImage(name).files.items()}

    def gather(self, progress: Progress) -> None:
        for name in self.names():
            NodeImage(name).gather(progress)

    def missing(self) -> str | None:
        lacking = [name for name in self.names() if NodeImage(name).missing()]
        return f"no archive of {', '.join(lacking)}" if lacking else None

    def unpacked(self, progress: Progress) -> None:
        """``lab up`` loads them into the nodes."""


def missing(parts: Iterable[Part]) -> list[str]:
    """What a lab without a network would lack; a part that cannot be checked counts as missing."""
    found: list[str] = []
    for part in parts:
        try:
            lack = part.missing()
        except errors.LabError as error:
            lack = error.message
        if lack:
            found.append(f"{part.title}: {lack}")
    return found
