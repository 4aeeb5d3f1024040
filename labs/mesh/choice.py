"""Chooses the mesh for a backend."""

from __future__ import annotations

from labs.clusters.base import Capabilities
from labs.mesh.base import Mesh
from labs.mesh.linkerd import LinkerdMesh
from labs.mesh.standin import StandinMesh


def mesh_for(can: Capabilities) -> Mesh:
    """Linkerd if pods are containers that can run it, otherwise the stand-in."""
    return LinkerdMesh() if can.real_linkerd else StandinMesh()
