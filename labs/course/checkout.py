"""Bring a published fix into this checkout with git, if it has a place to pull from."""

from __future__ import annotations

import shutil

from labs import config, shell
from labs.errors import CommandFailed, LabError


def pull() -> str:
    """Pull, and say in a line what came of it. The learner's copies lie outside git, so nothing of theirs is in the way.

    Raises:
        LabError: git refused; the message is git's.
    """
    if shutil.which("git") is None or not (config.ROOT / ".git").exists():
        return "this folder is no git checkout: using the notebooks it has"
    try:
        shell.run(["git", "-C", str(config.ROOT), "rev-parse", "--abbrev-ref", "@{upstream}"])
    except CommandFailed:
        return "this checkout follows no other: using the notebooks it has"
    before = _revision()
    try:
        shell.run(["git", "-C", str(config.ROOT), "pull", "--ff-only", "--quiet"], timeout=120)
    except CommandFailed as error:
        raise LabError(f"git pull failed: {error.message}", fix=f"git -C {config.ROOT} status") from error
    return "the checkout is up to date" if _revision() == before else f"pulled {before[:7]}..{_revision()[:7]}"


def _revision() -> str:
    return shell.run(["git", "-C", str(config.ROOT), "rev-parse", "HEAD"]).strip()
