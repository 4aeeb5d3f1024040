"""Gets the embedded programs once, into the user's cache folder: compiled, or downloaded if their sites answer.

Atomic: the programs appear in one rename. Under a lock: a second build waits for the first and then finds its result. Resumable:
an interrupted build keeps the compiler's cache and what was downloaded, so the next one continues where it stopped. Verified: see
``manifest``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from labs import errors
from labs.embedded import go, manifest, release
from labs.embedded.recipes import GIGABYTE, Recipe
from labs.steps import Progress

MAX_CORES = 8
"""More cores than this hardly shorten the build: it ends in a chain of packages that depend on each other."""


Source = Literal["auto", "release", "source"]
"""Where programs come from: the pinned release's own binaries, the compiler, or (auto) the first of the two that is available."""


def build(recipe: Recipe, progress: Progress, source: Source = "source") -> Path:
    """Return the folder of the recipe's programs; get them from ``source`` if they are missing, damaged or from another source.

    Raises:
        BuildError: no Go, no network, or the compiler failed.
        DownloadError: with ``source="release"``: a site does not answer, or sends what it did not publish.
        DiskFull: there is less disk space than compiling needs.
    """
    if _fault(recipe, source) is None:
        return recipe.output
    with locked(recipe, progress):
        fault = _fault(recipe, source)
        if fault is None:
            return recipe.output
        if recipe.output.exists():
            progress.note(f"getting {recipe.title} again: {fault}")
            shutil.rmtree(recipe.output)
        _get(recipe, progress, source)
    return recipe.output


def _fault(recipe: Recipe, source: Source) -> str | None:
    """Why the cache's content is unusable; None if it is usable."""
    fault = manifest.damage(recipe.output, recipe.programs)
    if fault or source == "auto" or manifest.was_downloaded(recipe.output) == (source == "release"):
        return fault
    return "downloaded, not compiled here" if source == "source" else "compiled here, not downloaded"


def _get(recipe: Recipe, progress: Progress, source: Source) -> None:
    if source != "source":
        try:
            _download(recipe, progress)
            return
        except errors.DownloadError as error:
            if source == "release":
                raise
            progress.note(f"compiling, because {error.message}")
    require_disk(recipe)
    _compile(recipe, progress)


@contextlib.contextmanager
def locked(recipe: Recipe, progress: Progress) -> Iterator[None]:
    """Only one build of a recipe at a time; the kernel drops the lock when its holder dies."""
    recipe.workspace.parent.mkdir(parents=True, exist_ok=True)
    with recipe.workspace.with_suffix(".lock").open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress.note(f"another lab is compiling {recipe.title}; waiting for it")
                time.sleep(go.BEAT)
        yield


def require_disk(recipe: Recipe) -> None:
    """Raise DiskFull if compiling would not fit. Files left by an interrupted build count towards the space needed."""
    folder = recipe.workspace.parent
    free = shutil.disk_usage(folder).free + size(recipe.workspace)
    if free < recipe.need_bytes:
        raise errors.DiskFull(
            f"expected {recipe.need_bytes / GIGABYTE:.0f} GB of free disk in {folder} to compile {recipe.title}"
            f" (most of it is freed afterwards); found {free / GIGABYTE:.1f} GB",
            fix="free some space, or set XDG_CACHE_HOME to a folder on a larger disk, then: lab build",
        )


def size(folder: Path) -> int:
    """Bytes in the files below ``folder``; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def _compile(recipe: Recipe, progress: Progress) -> None:
    with _appearing(recipe) as draft:
        _run_compiler(recipe, draft, progress)
        for name, package in recipe.programs.items():
            (draft / go.executable(package)).rename(draft / name)
        manifest.write(draft, {name: f"compiled from {package}" for name, package in recipe.programs.items()})
    progress.note("removing the compiler's caches")
    go.remove_caches(recipe)


def _download(recipe: Recipe, progress: Progress) -> None:
    sums = release.published(recipe)
    with _appearing(recipe) as draft:
        manifest.write(draft, release.fetch(recipe, sums, draft, progress))
    go.remove_caches(recipe)


@contextlib.contextmanager
def _appearing(recipe: Recipe) -> Iterator[Path]:
    """A folder that is moved into place when the block succeeds, and removed otherwise."""
    draft = recipe.output.with_name(f".{recipe.output.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(recipe.output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _run_compiler(recipe: Recipe, draft: Path, progress: Progress) -> None:
    program = go.find()
    estimate = Estimate(recipe, _packages_to_compile(program, recipe, progress))
    with go.running(go.build_command(program, recipe, draft), recipe) as output:
        for line in output:
            estimate.note(line)
            progress.advance(estimate.share, estimate.describe())


def _packages_to_compile(program: str, recipe: Recipe, progress: Progress) -> set[str]:
    """Fetch the modules and ask Go what is left to compile: after an interruption, not everything."""
    packages: set[str] = set()
    fetching = "fetching Go modules"
    with go.running(go.list_command(program, recipe), recipe) as output:
        for line in output:
            if line and line.startswith("go: downloading"):
                fetching = line.removeprefix("go: ")
            elif line:
                packages.add(line)
            progress.note(fetching)
    return packages


class Estimate:
    """The compiler's progress, by packages, and how long it may still take."""

    COMPILING = 0.85
    """Share of the time that compiling takes; the rest is linking, which the compiler does not report."""
    TRUSTED = 0.1
    """Share from which the pace so far is a better guide than the time measured elsewhere."""

    def __init__(self, recipe: Recipe, packages: set[str]) -> None:
        self._packages = packages
        self._done: set[str] = set()
        self._started = time.monotonic()
        self._first_guess = recipe.cpu_minutes * 60 / min(os.cpu_count() or 1, MAX_CORES)

    def note(self, line: str | None) -> None:
        """A line of the compiler's output: the name of a package, or something else."""
        if line in self._packages:
            self._done.add(line)

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.COMPILING * len(self._done) / max(len(self._packages), 1)

    def describe(self) -> str:
        elapsed = time.monotonic() - self._started
        whole = elapsed / self.share if self.share > self.TRUSTED else self._first_guess
        left = max(whole - elapsed, 10)
        about = f"{left / 60:.0f} min" if left >= 90 else f"{round(left, -1):.0f} s"
        return f"{len(self._done)} of {len(self._packages)} packages, about {about} left"
