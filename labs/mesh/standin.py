"""The embedded backend's mesh: Linkerd's API with Envoy as the data plane, and a ``linkerd`` command that admits to this."""

from __future__ import annotations

import shlex
from pathlib import Path

from labs import config
from labs.mesh.base import Mesh
from labs.wire import isolated

WRAPPER = """\
#!/bin/sh
# The lab's stand-in for the linkerd command; written by `lab up`.
exec {command} "$@"
"""


class StandinMesh(Mesh):
    """The stand-in; ``docs/parity.md`` says what is the same as in Linkerd, what differs and what is missing."""

    @property
    def name(self) -> str:
        return f"stand-in for Linkerd {config.versions()['linkerd']['version']}"

    def install_cli(self, bin_dir: Path) -> Path:
        return install_cli(bin_dir)

    def images(self) -> list[str]:
        return []


def install_cli(bin_dir: Path) -> Path:
    """Write the command ``linkerd`` into ``bin_dir``, creating that if necessary, and return the command's path."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    path = bin_dir / "linkerd"
    path.write_text(WRAPPER.format(command=shlex.join(isolated.command("labs.mesh.linkerd_cli"))))
    path.chmod(0o755)
    return path
