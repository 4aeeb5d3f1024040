"""The command-line programs of a backend against the versions in ``clusters/versions.toml``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from labs import config, errors, shell
from labs import kubectl as kubectl_program
from labs.clusters import programs
from labs.mesh.linkerd import candidates, client_version
from labs.paths import Paths
from labs.setup.findings import Finding


def pinned(program: str) -> Finding:
    """kind or k3d, in the pinned version or newer."""
    name = f"{program} {config.versions()[program]['version']} or newer"
    try:
        path = programs.require(program)
    except errors.LabError as error:
        return Finding(name, False, error.message, error.fix)
    return Finding(name, True, f"{programs.version(path)} ({place(path)})")


def kubectl() -> Finding:
    """Kubernetes supports a kubectl one minor version older or newer than the API server."""
    wanted = config.versions()["kubernetes"]["version"]
    name = f"kubectl for Kubernetes {wanted}"
    try:
        path = kubectl_program.program()
        said = json.loads(shell.run([path, "version", "--client", "--output=json"], timeout=20))
        found = said["clientVersion"]["gitVersion"].lstrip("v")
    except (errors.LabError, ValueError, KeyError) as error:
        return Finding(name, False, str(error), "lab tools kubectl")
    return Finding(name, abs(_minor(found) - _minor(wanted)) <= 1, f"{found} ({place(path)})", "lab tools kubectl")


def place(path: str) -> str:
    """Where a program is, relative to the checkout if it is inside, because notebooks keep this output in git."""
    return str(Path(path).relative_to(config.ROOT)) if Path(path).is_relative_to(config.ROOT) else path


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def linkerd() -> Finding:
    """Exactly the pinned release, because the notebooks were recorded with it."""
    wanted = config.versions()["linkerd"]["version"]
    found = {str(path): client_version(path) for path in candidates(Paths.current().bin / "linkerd")}
    said = "; ".join(f"{version} ({path})" for path, version in found.items()) or "not installed"
    return Finding(f"linkerd {wanted}", wanted in found.values(), said, "lab tools linkerd")


def step() -> Finding:
    """Linkerd's guides create certificates with it; the lab creates its own."""
    path = shutil.which("step")
    return Finding("step", True, path or "not installed, and not needed: the lab creates its certificates itself")


def for_backend(name: str) -> list[Finding]:
    """What the backend's commands need."""
    looks: dict[str, tuple[Callable[[], Finding], ...]] = {
        "kind": (lambda: pinned("kind"), kubectl, linkerd, step),
        "k3d": (lambda: pinned("k3d"), kubectl, linkerd, step),
        "contexts": (kubectl, linkerd, step),
        "embedded": (kubectl,),
    }
    return [look() for look in looks[name]]
