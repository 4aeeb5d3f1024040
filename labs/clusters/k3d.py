"""The k3d backend: nodes are containers made by k3d, Kubernetes is k3s with its own load balancer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labs import config, shell
from labs.clusters.base import Capabilities
from labs.clusters.docker import NodeContainer
from labs.clusters.docker_backend import DockerBackend

IMPORT = 'archive=$1; shift; for node; do docker exec --interactive "$node" ctr image import --all-platforms - < "$archive"; done'
"""What ``k3d image import`` does, without that command: where a node refuses the archive, it only logs so and exits with 0 or,
with ``--mode=direct``, waits for ever (seen with k3d 5.8.3)."""


class K3d(DockerBackend):
    """Needs a Docker engine and the command ``k3d``."""

    name = "k3d"
    # The image of k3s has no tc(8), which delays packets.
    can = Capabilities(has_containers=True, real_linkerd=True, netem=False, network_policy=True, node_processes=False)
    cluster_label = "k3d.cluster"
    role_label = "k3d.role"
    roles = frozenset({"server", "agent"})

    def create_command(self, cluster: str, timeout: float) -> list[str]:
        configuration = config.CLUSTERS / "k3d" / f"{cluster}.yaml"
        return [self.program, "cluster", "create", "--config", str(configuration)]

    def delete_command(self, cluster: str) -> list[str]:
        return [self.program, "cluster", "delete", cluster]

    def kubeconfig_command(self, cluster: str) -> list[str]:
        return [self.program, "kubeconfig", "get", cluster]

    def start(self, stopped: Mapping[str, Sequence[NodeContainer]]) -> None:
        for cluster in stopped:
            shell.run([self.program, "cluster", "start", cluster], timeout=300)

    def halt(self, cluster: str, nodes: Sequence[NodeContainer]) -> None:
        shell.run([self.program, "cluster", "stop", cluster], timeout=120)

    def import_command(self, cluster: str, archive: Path) -> list[str]:
        return ["sh", "-ec", IMPORT, "sh", str(archive), *(node.name for node in self.own_nodes()[cluster])]
