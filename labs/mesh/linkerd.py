"""Linkerd itself, driven through its own command, for backends whose pods are containers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from labs import config, errors, releases, shell
from labs.mesh.base import Mesh
from labs.paths import Paths

RENDERINGS = (
    ["install"],
    ["viz", "install", "--set", "prometheus.enabled=false", "--set", "prometheusUrl=http://prometheus.monitoring:9090"],
    ["multicluster", "install", "--set", "controllers[0].link.ref.name=gpu"],
)
"""The installations of notebooks 04 and 05, reduced to the options that affect which images are pulled."""


class LinkerdMesh(Mesh):
    """The Linkerd release that ``clusters/versions.toml`` pins; ``bin_dir`` is the folder for its command."""

    def __init__(self, bin_dir: Path | None = None) -> None:
        self._program = (bin_dir or Paths.current().bin) / "linkerd"

    @property
    def version(self) -> str:
        """The pinned release, for example ``edge-26.8.3``."""
        return str(config.versions()["linkerd"]["version"])

    @property
    def name(self) -> str:
        return f"Linkerd {self.version}"

    def install_cli(self, bin_dir: Path) -> Path:
        """Ensure that ``bin_dir`` has the pinned command, if necessary as a link to the one in the cache or on the PATH.

        Raises:
            MachineError: no command has that version.
        """
        path = bin_dir / "linkerd"
        found = {str(program): client_version(program) for program in candidates(path)}
        for program, version in found.items():
            if version == self.version:
                link(path, Path(program))
                return path
        seen = "; ".join(f"{program} is {version}" for program, version in found.items()) or "none on the PATH"
        raise errors.MachineError(f"expected the command linkerd of version {self.version}; found {seen}", fix="lab tools")

    def images(self) -> list[str]:
        """The images that its pods use, read from what the command would install."""
        rendered = "\n---\n".join(self.run(*words, "--ignore-cluster") for words in RENDERINGS)
        return sorted({image for document in yaml.safe_load_all(rendered) for image in images_in(document)})

    def run(self, *words: str) -> str:
        """What ``linkerd WORDS`` prints.

        Raises:
            CommandFailed: it failed; the message is its own.
        """
        return shell.run([str(self._program), *words], env={"KUBECONFIG": str(Paths.current().kubeconfig)}, timeout=120)


def candidates(path: Path) -> Iterator[Path]:
    """Candidates for the command: the one at ``path``, the one from ``lab tools`` or a bundle, and another on the PATH."""
    if path.exists():
        yield path
    if (cached := releases.asset("linkerd").cached).exists():
        yield cached
    on_path = shutil.which("linkerd")
    if on_path and Path(on_path).absolute() != path.absolute():
        yield Path(on_path)


def client_version(program: Path) -> str:
    """The version that the program reports, or its error message."""
    try:
        return shell.run([str(program), "version", "--client", "--short"], timeout=20).strip()
    except errors.LabError as error:
        return error.message


def link(path: Path, program: Path) -> None:
    """Make ``path`` a link to ``program``, unless it is that program already."""
    if path.absolute() == program.absolute():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(program.resolve())


def images_in(document: object) -> Iterator[str]:
    """The ``image:`` of every container anywhere in a manifest."""
    if isinstance(document, Mapping):
        image = document.get("image")
        if isinstance(image, str) and re.fullmatch(r"\S+[:@]\S+", image):
            yield image
        parts: Sequence[object] = list(document.values())
    else:
        parts = document if isinstance(document, list) else []
    for part in parts:
        yield from images_in(part)
