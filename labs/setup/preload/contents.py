"""Which parts a backend's bundle has."""

from __future__ import annotations

from labs import config, releases
from labs.clusters import images
from labs.clusters.base import Backend
from labs.embedded import programs, recipes
from labs.mesh.choice import mesh_for
from labs.setup.preload.parts import EngineImage, NodeImage, Part, Programs, Tool


def parts(backend: Backend) -> list[Part]:
    """All but the Python packages, which every bundle has."""
    if not backend.can.has_containers:
        return [Programs(recipes.kubernetes(), programs.ensure), Programs(recipes.prometheus(), programs.ensure_prometheus)]
    in_engine = [*images.node_images(backend.name), images.LAB_IMAGE]
    in_nodes = [name for name in pod_images(backend) if name not in in_engine]
    return [*tools(backend), *map(EngineImage, in_engine), *map(NodeImage, in_nodes)]


def tools(backend: Backend) -> list[Tool]:
    """The command-line programs of a backend: its own, if it has one, and those that a learner types."""
    names = [name for name in (backend.name, "kubectl", "linkerd") if name in releases.programs()]
    return [Tool(releases.asset(name)) for name in names]


def pod_images(backend: Backend) -> list[str]:
    """Every image that the notebooks' pods are made of.

    Raises:
        MachineError: the mesh's command, which knows the mesh's images, is not there.
    """
    mesh = mesh_for(backend.can)
    mesh.install_cli(config.BIN)
    return sorted({*images.workload_images(), *mesh.images()})
