"""Gateway API's CRDs, which Linkerd needs; ``clusters/gateway-api`` has the version that the pinned Linkerd specifies."""

from __future__ import annotations

from labs import config
from labs.clusters.base import Cluster

CRD = "httproutes.gateway.networking.k8s.io"


def install(cluster: Cluster) -> None:
    """Apply them as notebook 04 does. A cluster that already has them (its provider's, perhaps newer) keeps its own."""
    if not cluster.kubectl("get", "crd", CRD, "--ignore-not-found", "--output=name").strip():
        cluster.kubectl("apply", "--server-side", "-k", str(config.CLUSTERS / "gateway-api"))
