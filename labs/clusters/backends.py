"""Which backend this checkout uses: chosen once by ``lab up``, read from ``.lab/backend`` by every later command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from labs import config, errors
from labs.clusters import docker, programs
from labs.clusters.base import Backend
from labs.clusters.contexts import Contexts
from labs.clusters.embedded import Embedded
from labs.clusters.k3d import K3d
from labs.clusters.kind import Kind

BACKENDS: dict[str, Callable[[], Backend]] = {"kind": Kind, "k3d": K3d, "contexts": Contexts, "embedded": Embedded}
CHOICE = config.STATE / "backend"


def choose(wanted: str = "auto") -> tuple[Backend, str]:
    """The backend to bring up, and why it is this one.

    Raises:
        UsageError: this checkout's lab was brought up on another backend.
    """
    stored = CHOICE.read_text().strip() if CHOICE.exists() else None
    if stored and wanted not in ("auto", stored):
        raise errors.UsageError(f"this checkout's lab uses the backend {stored}, not {wanted}", fix="lab down, then lab up again")
    if stored:
        return BACKENDS[stored](), "this checkout's lab uses it"
    if wanted != "auto":
        return BACKENDS[wanted](), "you asked for it"
    return automatic()


def automatic() -> tuple[Backend, str]:
    """kind where a Docker engine answers, else k3d, else the embedded one; and why."""
    try:
        docker.engine()
    except errors.EngineUnusable as error:
        return Embedded(), error.message
    for backend in (Kind, K3d):
        if programs.find(backend.name):
            return backend(), f"a Docker engine answers, and there is {backend.name}"
    return Embedded(), "a Docker engine answers, but there is neither kind nor k3d: lab tools kind"


def current() -> Backend:
    """The backend of this checkout's lab; the embedded one where nothing was brought up yet."""
    return choose()[0] if CHOICE.exists() else Embedded()


def remember(backend: Backend) -> None:
    """Store the choice: before anything is made, so that ``lab down`` finds what an interrupted ``up`` left."""
    CHOICE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    CHOICE.write_text(backend.name)


def forget() -> None:
    """Take the choice back, after an ``up`` that made nothing."""
    CHOICE.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: the tools that were fetched stay
        CHOICE.parent.rmdir()
