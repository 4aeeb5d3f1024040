"""What a notebook may ask of any implementation of the mesh; for everything else, learners type ``linkerd …`` in a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from labs import topology
from labs.mesh.certificates import MadeCertificate, make_certificates
from labs.paths import Paths


class Mesh(Protocol):
    """A mesh of the lab, driven through the command ``linkerd``."""

    @property
    def name(self) -> str:
        """Its name and version, for example ``Linkerd edge-26.8.3`` or ``stand-in for Linkerd edge-26.8.3``."""
        ...

    def make_certificates(self) -> list[MadeCertificate]:
        """Make the trust anchor and an issuer per cluster under ``.lab/certs``; valid ones that exist already are kept."""
        return make_certificates(Paths.current().certificates, [cluster.name for cluster in topology.defaults()])

    def install_cli(self, bin_dir: Path) -> Path:
        """Put the command ``linkerd`` into ``bin_dir``; returns its path."""
        ...

    def images(self) -> list[str]:
        """The images that a cluster pulls for it; empty if its pods are not containers."""
        ...
