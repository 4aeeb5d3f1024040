"""The address plan of the embedded backend: which loopback address and port each part of a cluster listens on."""

from __future__ import annotations

from dataclasses import dataclass

from labs import config, errors

ETCD_HOST = "127.10.0.2"
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380
CONTROL_HOST = "127.10.0.250"
CONTROL_PORT = 7070
"""The supervisor's control endpoint: one per machine, so that a second checkout meets the first one's lab here."""
API_PORT = 6443
PROXY_PORT = 3128
KUBELET_PORT = 10250


@dataclass(frozen=True)
class ClusterPlan:
    """Where one cluster's parts listen. ``number`` is the C of 10.C.0.0/16, the cluster's pod range."""

    spec: config.ClusterSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def number(self) -> int:
        return self.spec.pod_range.network_address.packed[1]

    @property
    def host(self) -> str:
        """API server and service proxy listen here, each on its own port."""
        return f"127.{self.number}.0.1"

    @property
    def server(self) -> str:
        return f"https://{self.host}:{API_PORT}"

    @property
    def advertised(self) -> str:
        """The API server's address as the API shows it (Endpoints refuse loopback addresses)."""
        return f"10.{self.number}.0.1"

    @property
    def kubernetes_service(self) -> str:
        """ClusterIP of the Service ``kubernetes``: the first address of the service range."""
        return str(self.spec.service_range[1])

    @property
    def proxy_url(self) -> str:
        return f"http://{self.host}:{PROXY_PORT}"

    def node_host(self, node: config.NodeSpec) -> str:
        return f"127.{self.number}.0.{10 + node.index}"

    def node_range(self, node: config.NodeSpec) -> str:
        return f"10.{self.number}.{node.index + 1}.0/24"


def clusters() -> tuple[ClusterPlan, ...]:
    return tuple(ClusterPlan(spec) for spec in config.topology())


def cluster(name: str) -> ClusterPlan:
    """The plan of cluster ``name``.

    Raises:
        NotFound: the topology has no such cluster.
    """
    for plan in clusters():
        if plan.name == name:
            return plan
    raise errors.NotFound("cluster", name, [plan.name for plan in clusters()])


def listeners() -> list[tuple[str, int, str]]:
    """Every fixed (host, port, what for) the lab needs free before it starts."""
    fixed = [
        (CONTROL_HOST, CONTROL_PORT, "the lab's control endpoint"),
        (ETCD_HOST, ETCD_CLIENT_PORT, "etcd"),
        (ETCD_HOST, ETCD_PEER_PORT, "etcd (peers)"),
    ]
    for plan in clusters():
        fixed.append((plan.host, API_PORT, f"the API server of {plan.name}"))
        fixed.append((plan.host, PROXY_PORT, f"the service proxy of {plan.name}"))
        fixed += [(plan.node_host(node), KUBELET_PORT, f"the node agent of {node.name}") for node in plan.spec.nodes]
    return fixed
