"""The parts of a backend's bundle."""

from __future__ import annotations

from labs import releases
from labs.clusters import images
from labs.clusters.base import Backend
from labs.embedded import programs, recipes
from labs.mesh.choice import mesh_for
from labs.paths import Paths
from labs.setup.preload.k3s import K3sImages
from labs.setup.preload.parts import EngineImage, NodeImages, Part, Programs, Tool


def parts(backend: Backend) -> list[Part]:
    """All parts except the Python packages, which are in every bundle."""
    if not backend.can.has_containers:
        return [Programs(recipes.kubernetes(), programs.ensure), Programs(recipes.prometheus(), programs.ensure_prometheus)]
    in_engine = [*images.engine_images(backend.name), images.LAB_IMAGE]
    pods = NodeImages("images of the pods", lambda: [name for name in pod_images(backend) if name not in in_engine])
    k3s = [K3sImages()] if backend.can.pulls_k3s_images else []
    return [*tools(backend), *map(EngineImage, in_engine), pods, *k3s]


def tools(backend: Backend) -> list[Tool]:
    """The command-line programs of a backend: its own, if it has one, and those that learners use."""
    names = [name for name in (backend.name, "kubectl", "linkerd") if name in releases.programs()]
    return [Tool(releases.asset(name)) for name in names]


def pod_images(backend: Backend) -> list[str]:
    """Every image that the notebooks' pods use.

    Raises:
        MachineError: the mesh's command, which lists the mesh's images, is not available.
    """
    mesh = mesh_for(backend.can)
    mesh.install_cli(Paths.current().bin)
    return sorted({*images.workload_images(), *mesh.images()})
