"""Addresses for Services of type LoadBalancer where nobody else gives them: a small controller of ours in each cluster."""

from __future__ import annotations

from collections.abc import Iterable

from labs import config
from labs.clusters.base import Cluster

MANIFESTS = config.CLUSTERS / "kind" / "load-balancer"


def install(clusters: Iterable[Cluster], timeout: float) -> None:
    """Apply the controller to every cluster and wait until it runs; ``timeout`` in seconds each."""
    chosen = list(clusters)
    for cluster in chosen:
        cluster.apply(MANIFESTS)
    for cluster in chosen:
        wait = f"--timeout={timeout:.0f}s"
        cluster.kubectl("rollout", "status", "deployment/load-balancer", "--namespace=lab-system", wait, timeout=timeout + 10)
