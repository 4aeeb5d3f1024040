"""Getting images into the nodes: from the engine, and from the archives of an offline bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from labs.clusters import images
from labs.clusters.docker import engine
from labs.clusters.docker.node_containers import NodeContainer
from labs.clusters.docker.runner import ToolRunner
from labs.steps import Progress

IMPORT_TIMEOUT = 600.0
"""Seconds for an archive to get into every node: three nodes each unpack 0.4 GB, on one disk."""
IMPORT = 'archive=$1; shift; for node; do docker exec --interactive "$node" ctr image import --all-platforms - < "$archive"; done'

Held = Mapping[str, set[tuple[str, str]]]
"""Cluster → (name, id) of the images that all its nodes have."""


class ImageLoader:
    """Loads what the nodes lack; ``nodes`` returns the lab's node containers by cluster."""

    def __init__(self, runner: ToolRunner, nodes: Callable[[], Mapping[str, Sequence[NodeContainer]]]) -> None:
        self._runner = runner
        self._nodes = nodes

    def load(self, names: Sequence[str], progress: Progress) -> None:
        """Load images of the engine into all nodes of the clusters that have a node without them."""
        self._load(names, images_on_nodes(self._nodes()), progress)

    def load_workloads(self, progress: Progress) -> None:
        """Load what an offline bundle brought, and those images of the manifests that the engine has; nodes pull the others."""
        held = images_on_nodes(self._nodes())
        for archive in images.preloaded():
            progress.note(archive.stem)
            self._import(archive, held)
        self._load(images.present([n for n in images.workload_images() if not images.archive(n).exists()]), held, progress)

    def _load(self, names: Sequence[str], held: Held, progress: Progress) -> None:
        progress.note(", ".join(names))
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "images.tar"
            images.save(names, archive, engine.engine())
            self._import(archive, held)

    def _import(self, archive: Path, held: Held) -> None:
        wanted = images.archived(archive)
        lacking = [name for name, found in held.items() if not wanted <= found]
        self._runner.together({name: self._command(name, archive) for name in lacking}, IMPORT_TIMEOUT)

    def _command(self, cluster: str, archive: Path) -> Sequence[str]:
        tool = self._runner.tool
        if tool.load is not None:
            return self._runner.command(tool.load, cluster=cluster, archive=archive)
        return ["sh", "-ec", IMPORT, "sh", str(archive), *(node.name for node in self._nodes()[cluster])]


def images_on_nodes(nodes: Mapping[str, Collection[NodeContainer]]) -> Held:
    """The images that every node of a cluster has, by cluster."""
    return {name: set.intersection(*(images.held(node.name) for node in rows)) for name, rows in nodes.items()}
