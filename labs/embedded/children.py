"""The children of a full lab: etcd, control planes, service proxies, node agents."""

from __future__ import annotations

from labs.embedded import control_plane, plan, programs
from labs.embedded.child import ChildSpec, HttpProbe
from labs.embedded.service_proxy.envoy import READY_PATH
from labs.topology import NodeSpec
from labs.wire import isolated


def specs() -> list[ChildSpec]:
    """Every child of the lab, in the order ``lab status`` shows them."""
    folder = programs.folder()
    found = [control_plane.etcd(folder)]
    for cluster in plan.clusters():
        found += [
            control_plane.api_server(cluster, folder),
            control_plane.scheduler(cluster, folder),
            control_plane.controller_manager(cluster, folder),
        ]
        found.append(service_proxy(cluster))
    for cluster in plan.clusters():
        found += [node_agent(cluster, node) for node in cluster.spec.nodes]
    return [*found, prometheus_build()]


def node_agent(cluster: plan.ClusterPlan, node: NodeSpec) -> ChildSpec:
    argv = isolated.command("labs.embedded.node", "--cluster", cluster.name, "--node", node.name, unbuffered=True)
    return ChildSpec(f"{cluster.name}/{node.name}", argv, after=(f"{cluster.name}/kube-apiserver",))


def service_proxy(cluster: plan.ClusterPlan) -> ChildSpec:
    argv = isolated.command("labs.embedded.service_proxy", "--cluster", cluster.name, unbuffered=True)
    probe = HttpProbe(f"http://{cluster.host}:{plan.PROXY_PORT}{READY_PATH}")
    return ChildSpec(f"{cluster.name}/service-proxy", argv, after=(f"{cluster.name}/kube-apiserver",), probe=probe)


def prometheus_build() -> ChildSpec:
    """Compiles Prometheus while the first notebooks are read; ``done`` at once if it is in the cache."""
    last_node = f"{plan.clusters()[-1].name}/{plan.clusters()[-1].spec.nodes[-1].name}"
    argv = isolated.command("labs.embedded.background_build", unbuffered=True)
    return ChildSpec("prometheus-build", argv, after=(last_node,), once=True)
