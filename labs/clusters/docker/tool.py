"""kind and k3d as data: how each is told to make, stop and remove a cluster, and how its containers are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labs import config
from labs.clusters.docker.engine import NETWORK
from labs.clusters.nodes import Action

Words = tuple[str, ...]
"""Command line after the program's name; ``{cluster}``, ``{config}``, ``{timeout}``, ``{archive}``, ``{node}`` are filled in."""


@dataclass(frozen=True)
class ClusterTool:
    """A program that makes clusters of node containers."""

    name: str
    cluster_label: str
    """Label of the node containers; its value is the cluster's name."""
    role_label: str
    control_plane: str
    """Value of the role label on a control plane. The tools run helpers beside the nodes, which have other roles."""
    worker: str
    create: Words
    delete: Words
    kubeconfig: Words
    start: Words | None = None
    """None: the tool cannot, so the containers are started by Docker; likewise ``stop``."""
    stop: Words | None = None
    load: Words | None = None
    """Loads an archive of images into all nodes of a cluster. None: containerd imports it on each node."""
    add_node: Words | None = None
    """Adds a worker. None: a container is made as the tool does it, and joins with kubeadm."""
    node_name: str = "{node}"
    """How a node is called that was asked for under a name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    unsupported: Mapping[Action, str] = field(default_factory=dict)
    """What cannot be done to this tool's nodes, and why."""
    load_balancer: bool = False
    """Whether Services of type LoadBalancer get addresses only from the lab's own controller."""
    pulls_k3s_images: bool = False
    """Whether its nodes pull the images of k3s itself. The image of kind's nodes has those of Kubernetes inside."""

    @property
    def roles(self) -> frozenset[str]:
        return frozenset({self.control_plane, self.worker})

    def configuration(self, cluster: str) -> Path:
        return config.CLUSTERS / self.name / f"{cluster}.yaml"


KIND = ClusterTool(
    name="kind",
    cluster_label="io.x-k8s.kind.cluster",
    role_label="io.x-k8s.kind.role",
    control_plane="control-plane",
    worker="worker",
    create=("create", "cluster", "--name", "{cluster}", "--config", "{config}", "--wait={timeout:.0f}s"),
    delete=("delete", "cluster", "--name", "{cluster}"),
    kubeconfig=("get", "kubeconfig", "--name", "{cluster}"),
    load=("load", "image-archive", "--name", "{cluster}", "{archive}"),
    # kind has no flag for the network.
    environment={"KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK},
    load_balancer=True,
)

K3D = ClusterTool(
    name="k3d",
    cluster_label="k3d.cluster",
    role_label="k3d.role",
    control_plane="server",
    worker="agent",
    create=("cluster", "create", "--config", "{config}"),
    delete=("cluster", "delete", "{cluster}"),
    kubeconfig=("kubeconfig", "get", "{cluster}"),
    start=("cluster", "start", "{cluster}"),
    stop=("cluster", "stop", "{cluster}"),
    # Not `k3d image import`: where a node refuses the archive, that only logs so and exits with 0 or, with --mode=direct, waits
    # for ever (seen with k3d 5.8.3).
    load=None,
    # It copies the image and the arguments of an agent that the cluster has.
    add_node=("node", "create", "{node}", "--cluster", "{cluster}", "--role", "agent", "--wait", "--timeout", "{timeout:.0f}s"),
    node_name="k3d-{node}-0",
    pulls_k3s_images=True,
    unsupported={
        "freeze-control-plane": "k3s is one process: control plane, kubelet and access to pods' logs would stop together",
        "shape-link": "the k3s image lacks tc(8), which delays packets",
    },
)
