"""Which clusters a lab has, and which may leave it: the same on every backend."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from labs import errors, record, topology
from labs.clusters.base import Cluster
from labs.record import Record

LINKS = "links.multicluster.linkerd.io"


def planned(backend: str, clusters: Collection[str] = ()) -> Record:
    """What ``lab up`` makes: the lab of the last ``up``, else the default clusters; and ``clusters`` in any case.

    Raises:
        NotFound: the topology has no such cluster.
    """
    wanted = {topology.find(name).name for name in clusters}
    known = record.read() or Record(backend, tuple(spec.name for spec in topology.defaults()))
    return known.with_clusters({*known.clusters, *wanted})


def require_removable(names: Collection[str], clusters: Mapping[str, Cluster]) -> None:
    """Return if the clusters ``names`` may leave the lab, which has ``clusters``; changes nothing.

    Raises:
        NotFound: the lab has no such cluster.
        UsageError: it belongs to every lab, or another cluster is linked to it.
    """
    for name in names:
        if name not in clusters:
            raise errors.NotFound("cluster in this lab", name, list(clusters), fix="lab status")
        if not topology.find(name).on_demand:
            raise errors.UsageError(
                f"cluster {name} is part of every lab: only clusters on demand can leave it", fix="lab down (all clusters)"
            )
    staying = {name: cluster for name, cluster in clusters.items() if name not in names}
    for source, cluster in staying.items():
        for target in sorted(linked_clusters(cluster) & {*names}):
            raise errors.UsageError(
                f"cluster {source} is linked to {target}: its mirrored services would point nowhere",
                fix=f"linkerd --context {source} multicluster unlink --cluster-name {target}"
                f" | kubectl --context {source} delete -f -, then the same command again",
            )


def linked_clusters(cluster: Cluster) -> set[str]:
    """The clusters that ``cluster`` is linked to by Linkerd; none if its multicluster extension is not installed."""
    known = cluster.kubectl("api-resources", "--api-group=multicluster.linkerd.io", "--output=name").split()
    if LINKS not in known:
        return set()
    rows = json.loads(cluster.kubectl("get", LINKS, "--all-namespaces", "--output=json"))["items"]
    return {row["spec"]["targetClusterName"] for row in rows}
