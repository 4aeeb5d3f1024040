"""The embedded programs as their projects publish them: minutes of compiling become a download, where the sites answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from labs import errors, releases
from labs.embedded.recipes import Recipe
from labs.steps import Progress

ANSWER_WITHIN = 4.0
"""Seconds a site has to answer before the compiler is started instead."""
MEGABYTE = 10**6


def published(recipe: Recipe) -> dict[str, str]:
    """Program → the SHA-256 that its site currently publishes.

    Raises:
        SiteUnreachable: a site did not answer within ``ANSWER_WITHIN`` seconds.
        DownloadError: a site does not have the pinned release for this platform.
    """
    answers: dict[str, str | errors.DownloadError] = {}

    def ask(asset: releases.Asset) -> None:
        try:
            answers[asset.program] = asset.published_sha256(ANSWER_WITHIN)
        except errors.DownloadError as error:
            answers[asset.program] = error

    assets = [releases.asset(name) for name in recipe.programs]
    # Threads of their own, since name look-ups have no timeout.
    threads = [threading.Thread(target=ask, args=[asset], daemon=True) for asset in assets]
    deadline = time.monotonic() + ANSWER_WITHIN
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return {asset.program: _answer(asset, answers.get(asset.program)) for asset in assets}


def _answer(asset: releases.Asset, answer: str | errors.DownloadError | None) -> str:
    if isinstance(answer, str):
        return answer
    raise answer or errors.SiteUnreachable(
        f"no answer about {asset.checksums} within {ANSWER_WITHIN:.0f} s", fix="lab build --from source, or a better network"
    )


def fetch(recipe: Recipe, sums: dict[str, str], draft: Path, progress: Progress) -> dict[str, str]:
    """Fetch the recipe's programs into ``draft``; returns the URL that each came from.

    Resumes what an interrupted call left in the recipe's workspace.

    Raises:
        ChecksumMismatch, SiteUnreachable, DownloadError: see ``labs.download``.
    """
    for done, name in enumerate(recipe.programs):

        def report(have: int, total: int | None, name: str = name, done: int = done) -> None:
            share = (done + (have / total if total else 0)) / len(recipe.programs)
            progress.advance(share, f"{name}, {have / MEGABYTE:.0f} MB" + (f" of {total / MEGABYTE:.0f}" if total else ""))

        fetched = recipe.workspace / "release" / name
        releases.asset(name).fetch(fetched, report, sums[name])
        fetched.rename(draft / name)
    return {name: releases.asset(name).url for name in recipe.programs}
