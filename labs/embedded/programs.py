"""The embedded programs: where they are, whether they are intact, and how to get missing ones."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from labs import errors
from labs.embedded import build, recipes
from labs.paths import Paths
from labs.steps import Action, Progress, run_steps


def folder(recipe: recipes.Recipe | None = None) -> Path:
    """The folder that holds the programs of ``recipe`` (default: Kubernetes').

    ``$LAB_PROGRAMS`` names one with ready-made programs: they are used as they are.
    """
    ready_made = os.environ.get("LAB_PROGRAMS")
    return Path(ready_made) if ready_made else (recipe or recipes.kubernetes()).output


def are_built() -> bool:
    """Whether the Kubernetes programs are there, intact or not (that is checked before use)."""
    return all((folder() / name).exists() for name in recipes.kubernetes().programs)


def ensure(progress: Progress) -> None:
    """Make sure the Kubernetes programs are there and intact; download them if not, or compile them where that fails.

    Raises:
        BuildError: the compiler failed, or ``$LAB_PROGRAMS`` lacks a program.
        DiskFull: there is not enough room to compile.
    """
    _ensure(recipes.kubernetes(), progress)


def ensure_all(progress: Progress, source: build.Source = "auto") -> None:
    """``lab build``: all programs, one recipe after another."""
    everything = (recipes.kubernetes(), recipes.prometheus())
    run_steps([Action(recipe.title, partial(_ensure, recipe, source=source)) for recipe in everything], progress)


def ensure_prometheus(progress: Progress) -> None:
    """Like ``ensure``, for what the first notebooks do not need yet: the supervisor compiles it in the background."""
    _ensure(recipes.prometheus(), progress)


def link_prometheus() -> None:
    """``.lab/bin/prometheus``, where the node agents look for it, also while it is still being compiled."""
    link = Paths.current().bin / "prometheus"
    link.unlink(missing_ok=True)
    link.symlink_to(folder(recipes.prometheus()) / link.name)


def _ensure(recipe: recipes.Recipe, progress: Progress, source: build.Source = "auto") -> None:
    if not os.environ.get("LAB_PROGRAMS"):
        build.build(recipe, progress, source)
        return
    missing = [name for name in recipe.programs if not (folder() / name).exists()]
    if missing:
        raise errors.BuildError(f"$LAB_PROGRAMS ({folder()}) lacks {', '.join(missing)}", fix="unset LAB_PROGRAMS")
