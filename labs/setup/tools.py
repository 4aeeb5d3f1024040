"""``lab tools``: the pinned command-line programs, verified, in ``.lab/bin``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from labs import record, releases
from labs.clusters import backends
from labs.paths import Paths
from labs.steps import Action, Progress, run_steps

TOOLS = ("kind", "k3d", "linkerd", "kubectl")
MEGABYTE = 10**6


def wanted(names: Sequence[str]) -> list[str]:
    """``names``, or all tools that this checkout's backend can use; the stand-in mesh brings its own ``linkerd``."""
    standin = record.read() is not None and not backends.current().can.real_linkerd
    return list(names) or [tool for tool in TOOLS if not (tool == "linkerd" and standin)]


def install(names: Sequence[str], progress: Progress) -> list[Path]:
    """Download what is not in the cache and link it into ``.lab/bin``; returns the links.

    Raises:
        SiteUnreachable, ChecksumMismatch, DownloadError: a download failed; the tools installed before it stay.
    """
    assets = [releases.asset(name) for name in names]
    # Downloaded tools stay in the cache in any case, so the next call continues from there.
    run_steps([Action(f"{asset.program} {asset.version}", partial(_install, asset)) for asset in assets], progress, keep=True)
    return [Paths.current().bin / asset.program for asset in assets]


def _install(asset: releases.Asset, progress: Progress) -> None:
    program = asset.ensure(partial(_tell, progress))
    Paths.current().bin.mkdir(parents=True, exist_ok=True, mode=0o700)
    link = Paths.current().bin / asset.program
    draft = link.with_name(f".{link.name}.link")
    draft.unlink(missing_ok=True)
    draft.symlink_to(program)
    draft.replace(link)


def _tell(progress: Progress, done: int, total: int | None) -> None:
    if total:
        progress.advance(done / total, f"{done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB")
    else:
        progress.note(f"{done / MEGABYTE:.0f} MB")
