"""The address plan of the embedded backend: the address and port of each part of a cluster. Defined only here.

With C for the second octet of a cluster's pod range: 10.C.0.1 is the API server and the service proxy, 10.C.0.(10+i) node i,
10.C.(i+1).0/24 the pods of node i. The network decides what each of them listens on (``labs.wire.network``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Network

from labs import errors, record
from labs.topology import ClusterSpec, NodeSpec
from labs.wire.network import VARIABLE, Loopback, Network, named

ETCD_HOST = "127.10.0.2"
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380
API_PORT = 6443
PROXY_PORT = 3128
KUBELET_PORT = 10250
FIRST_NODE = 10
"""Last octet of node 0's address."""


def network() -> Network:
    """The network of the embedded backend, for programs that run outside pods."""
    return named(os.environ.get(VARIABLE) or Loopback.name)


@dataclass(frozen=True)
class ClusterPlan:
    """Where one cluster's parts listen. ``number`` is the C of 10.C.0.0/16, the cluster's pod range."""

    spec: ClusterSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def number(self) -> int:
        return self.spec.pod_range.network_address.packed[1]

    @property
    def host(self) -> str:
        """API server and service proxy listen here, each on its own port."""
        return network().bind(self.advertised)

    @property
    def server(self) -> str:
        return f"https://{self.host}:{API_PORT}"

    @property
    def advertised(self) -> str:
        """The API server's address in the API (Endpoints refuse loopback addresses)."""
        return f"10.{self.number}.0.1"

    @property
    def kubernetes_service(self) -> str:
        """ClusterIP of the Service ``kubernetes``: the first address of the service range."""
        return str(self.spec.service_range[1])

    @property
    def proxy_url(self) -> str:
        return f"http://{self.host}:{PROXY_PORT}"

    def node_address(self, node: NodeSpec) -> str:
        """The node's address in the API, as pods on its network have one."""
        return f"10.{self.number}.0.{FIRST_NODE + node.index}"

    def node_host(self, node: NodeSpec) -> str:
        """Where the node's kubelet API listens: its InternalIP."""
        return network().bind(self.node_address(node))

    def node_range(self, node: NodeSpec) -> IPv4Network:
        """podCIDR: the addresses of the node's pods."""
        return IPv4Network(f"10.{self.number}.{node.index + 1}.0/24")


def clusters() -> tuple[ClusterPlan, ...]:
    """The plans of the clusters of this checkout's lab."""
    return tuple(ClusterPlan(spec) for spec in record.clusters())


def cluster(name: str) -> ClusterPlan:
    """The plan of cluster ``name``.

    Raises:
        NotFound: this lab has no such cluster.
    """
    for plan in clusters():
        if plan.name == name:
            return plan
    raise errors.NotFound("cluster", name, [plan.name for plan in clusters()])


Listener = tuple[str, int, str]
"""(host, port, what for)."""


def listeners() -> list[Listener]:
    """Every fixed address that the lab needs free before it starts."""
    shared = [(ETCD_HOST, ETCD_CLIENT_PORT, "etcd"), (ETCD_HOST, ETCD_PEER_PORT, "etcd (peers)")]
    return [*shared, *(row for plan in clusters() for row in cluster_listeners(plan))]


def cluster_listeners(plan: ClusterPlan) -> list[Listener]:
    """The addresses of one cluster."""
    return [
        (plan.host, API_PORT, f"the API server of {plan.name}"),
        (plan.host, PROXY_PORT, f"the service proxy of {plan.name}"),
        *(node_listener(plan, node) for node in plan.spec.nodes),
    ]


def node_listener(plan: ClusterPlan, node: NodeSpec) -> Listener:
    """The address of one node."""
    return plan.node_host(node), KUBELET_PORT, f"the node agent of {node.name}"
