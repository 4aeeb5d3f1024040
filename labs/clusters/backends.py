"""Which backend this checkout uses: chosen once by ``lab up``, read from ``.lab/lab.json`` by every later command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from labs import errors, record
from labs.clusters import programs
from labs.clusters.base import Backend
from labs.clusters.contexts import Contexts
from labs.clusters.contexts.options import OPTIONS as CONTEXTS_OPTIONS
from labs.clusters.docker import engine
from labs.clusters.docker.backend import k3d, kind
from labs.clusters.embedded import Embedded

BACKENDS: dict[str, Callable[..., Backend]] = {
    "kind": kind,
    "k3d": k3d,
    "contexts": Contexts.from_options,
    "embedded": Embedded,
}
"""Each takes the values of its options, under their names."""
OPTIONS: Mapping[str, Sequence[click.Option]] = {"contexts": CONTEXTS_OPTIONS}
"""What a backend adds to the options of ``lab up``."""


def choose(wanted: str = "auto", **options: Any) -> tuple[Backend, str]:
    """The backend to bring up, and why it is this one; ``options`` are those of the backend that were given.

    Raises:
        UsageError: this checkout's lab was brought up on another backend, or the options are not this backend's.
    """
    name, reason = _choose_name(wanted)
    known = {option.name for option in OPTIONS.get(name, ())}
    foreign = [f"--{given.replace('_', '-')}" for given in options if given not in known]
    if foreign:
        raise errors.UsageError(f"the backend {name} has no option {', '.join(foreign)}", fix="lab up --help")
    return BACKENDS[name](**options), reason


def _choose_name(wanted: str) -> tuple[str, str]:
    known = record.read()
    if known and wanted not in ("auto", known.backend):
        raise errors.UsageError(
            f"this checkout's lab uses the backend {known.backend}, not {wanted}", fix="lab down, then lab up again"
        )
    if known:
        return known.backend, "this checkout's lab uses it"
    return automatic() if wanted == "auto" else (wanted, "you asked for it")


def automatic() -> tuple[str, str]:
    """kind if Docker is running, else k3d, else the embedded one; and why."""
    try:
        engine.engine()
    except errors.EngineUnusable as error:
        return "embedded", error.message
    for tool in ("kind", "k3d"):
        if programs.find(tool):
            return tool, f"Docker is running and {tool} is installed"
    return "embedded", "Docker is running, but neither kind nor k3d is installed: lab tools kind"


def current() -> Backend:
    """The backend of this checkout's lab; the embedded one where nothing was brought up yet.

    Raises:
        OldLayout: another version brought it up.
    """
    known = record.read()
    return BACKENDS[known.backend if known else "embedded"]()


def to_remove() -> Backend:
    """The backend of this checkout's lab, whichever version brought it up: enough to remove it."""
    return BACKENDS[record.backend() or "embedded"]()
