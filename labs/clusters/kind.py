"""The kind backend: nodes are containers made by kind, Kubernetes is set up by kubeadm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labs import config
from labs.clusters import addresses, docker, images, load_balancer
from labs.clusters.base import Capabilities
from labs.clusters.docker import NodeContainer
from labs.clusters.docker_backend import DockerBackend
from labs.steps import Action, Step


class Kind(DockerBackend):
    """Needs a Docker engine and the command ``kind``."""

    name = "kind"
    can = Capabilities(has_containers=True, real_linkerd=True, netem=True, network_policy=True, node_processes=False)
    cluster_label = "io.x-k8s.kind.cluster"
    role_label = "io.x-k8s.kind.role"
    roles = frozenset({"control-plane", "worker"})

    def create_command(self, cluster: str, timeout: float) -> list[str]:
        configuration = config.CLUSTERS / "kind" / f"{cluster}.yaml"
        command = [self.program, "create", "cluster", "--name", cluster, "--config", str(configuration)]
        return [*command, f"--wait={timeout:.0f}s", *preloaded_node_image()]

    def variables(self, cluster: str) -> list[str]:
        # kind has no flag for the network.
        return [*super().variables(cluster), f"KIND_EXPERIMENTAL_DOCKER_NETWORK={docker.NETWORK}"]

    def delete_command(self, cluster: str) -> list[str]:
        return [self.program, "delete", "cluster", "--name", cluster]

    def kubeconfig_command(self, cluster: str) -> list[str]:
        return [self.program, "get", "kubeconfig", "--name", cluster]

    def start(self, stopped: Mapping[str, Sequence[NodeContainer]]) -> None:
        # kind itself cannot.
        for node in addresses.in_order(node for nodes in stopped.values() for node in nodes):
            docker.docker("container", "start", node.name)

    def halt(self, cluster: str, nodes: Sequence[NodeContainer]) -> None:
        docker.docker("container", "stop", *(node.name for node in nodes))

    def import_command(self, cluster: str, archive: Path) -> list[str]:
        return [self.program, "load", "image-archive", "--name", cluster, str(archive)]

    def extra_steps(self, timeout: float) -> list[Step]:
        return [Action("Load balancer", lambda _: load_balancer.install(self.clusters().values(), timeout))]


def preloaded_node_image() -> list[str]:
    """The flag for a node image that came in an archive: Docker keeps its tag, but not the digest by which kind looks for it."""
    for pinned in images.node_images("kind"):
        tag = pinned.partition("@")[0]
        if not docker.has_image(pinned) and docker.has_image(tag):
            return ["--image", tag]
    return []
