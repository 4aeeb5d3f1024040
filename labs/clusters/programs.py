"""The command-line programs that drive clusters: where they are, and whether they are new enough."""

from __future__ import annotations

import re
import shutil

from labs import config, errors, releases, shell
from labs.paths import Paths


def find(program: str) -> str | None:
    """The path of ``program``: from ``.lab/bin``, from what ``lab tools`` has in the cache, from the PATH, in this order."""
    linked = Paths.current().bin / program
    if linked.exists():
        return str(linked)
    try:
        cached = releases.asset(program).cached
    except (errors.NotFound, errors.UnsupportedPlatform):
        cached = None
    return str(cached) if cached and cached.exists() else shutil.which(program)


def require(program: str) -> str:
    """The path of ``program``, at the pinned version or newer.

    Raises:
        NotFound: this machine does not have it.
        WrongVersion: it is older than ``clusters/versions.toml`` says.
    """
    path = find(program)
    if path is None:
        raise errors.NotFound("program", program, fix=f"lab tools {program}")
    wanted = config.versions()[program]["version"]
    found = version(path)
    if _parts(found) < _parts(wanted):
        raise errors.WrongVersion(f"expected {program} {wanted} or newer; found {found} ({path})", fix=f"lab tools {program}")
    return path


def version(path: str) -> str:
    """What ``kind version`` or ``k3d version`` says of itself, without the v (``kind v0.33.0 go1.26.8 linux/amd64``)."""
    said = shell.run([path, "version"], timeout=20)
    found = re.search(r"\bv(\d+\.\d+\.\d+)", said)
    if found is None:
        raise errors.WrongVersion(f"expected a version from {path} version; found {said.strip()!r}", fix="lab tools")
    return found[1]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def environment(cluster: str) -> dict[str, str]:
    """For programs that would otherwise write into the user's own kubeconfig: a file of their own, one per cluster.

    Not one for all: kind locks the file it writes, and two at a time would fail.
    """
    return {"KUBECONFIG": str(Paths.current().state / "tools" / f"{cluster}.kubeconfig")}
