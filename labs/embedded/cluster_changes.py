"""Clusters and nodes that join and leave a running lab.

Each change is a new record, from which the files are made again; the supervisor then compares the record with what runs. What a
killed command left half done is finished, or undone, by the same command or by ``lab down``.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from functools import partial

from labs import errors, kubectl, link_conditions, manifests, record, topology
from labs.embedded import bringup, control, etcd, pki, plan, ports, state
from labs.paths import Paths
from labs.steps import Action, Progress, Step
from labs.topology import ClusterSpec, NodeSpec

FIRST_HOST = 10
LAST_NODE = 250 - FIRST_HOST
"""Node i listens on 127.C.0.(10+i): higher numbers leave the cluster's first /24."""


def add_clusters(names: Collection[str], timeout: float) -> list[Step]:
    """The steps that add clusters to the running lab; their undo removes them again."""
    title = " and ".join(names)
    return [
        Action(f"Keys of {title}", lambda _: _prepare(names)),
        Action(f"Processes of {title}", lambda _: control.reload(), partial(remove_clusters, names)),
        *bringup.wait_steps(timeout),
    ]


def _prepare(names: Collection[str]) -> None:
    specs = [topology.find(name) for name in names]
    ports.require_free(row for spec in specs for row in plan.cluster_listeners(plan.ClusterPlan(spec)))
    for name in names:
        # A killed removal may have left its objects, which no new key could read.
        _clear(name)
    before = record.require()
    state.prepare(before.with_clusters({*before.clusters, *names}))


def remove_clusters(names: Collection[str]) -> None:
    """End the clusters' processes and remove everything they left; harmless if that was done before."""
    before = record.require()
    leaving = [spec for spec in before.specs() if spec.name in names]
    state.prepare(before.with_clusters({*before.clusters} - {*names}))
    control.reload()
    for name in names:
        _clear(name)
    for spec in leaving:
        _remove_files(spec)


def _clear(cluster: str) -> None:
    etcd.delete_objects(cluster)
    pki.remove(cluster)


def _remove_files(spec: ClusterSpec) -> None:
    paths = Paths.current()
    manifests.remove(spec.name)
    link_conditions.write(spec.name, link_conditions.CLEAR)
    shutil.rmtree(paths.run_dir() / f"{spec.name}-service-proxy", ignore_errors=True)
    for node in spec.nodes:
        _remove_node_files(node.name)
    for log in paths.logs.glob(f"{spec.name}-*.log"):
        if log.stem in {f"{spec.name}-{part}" for part in _children(spec)}:
            log.unlink()


def _children(spec: ClusterSpec) -> set[str]:
    programs = {"kube-apiserver", "kube-scheduler", "kube-controller-manager", "service-proxy"}
    return programs | {node.name for node in spec.nodes}


def _remove_node_files(node: str) -> None:
    shutil.rmtree(Paths.current().state / "nodes" / node, ignore_errors=True)
    shutil.rmtree(Paths.current().run_dir() / node, ignore_errors=True)


def free_index(spec: ClusterSpec) -> int:
    """The lowest index not used by a node of the cluster: its address and pod range follow from it.

    Raises:
        UsageError: all are taken.
    """
    taken = {node.index for node in spec.nodes}
    free = next((index for index in range(LAST_NODE + 1) if index not in taken), None)
    if free is None:
        raise errors.UsageError(f"cluster {spec.name} has {len(taken)} nodes, the most it can have", fix="lab node remove")
    return free


def add_node(cluster: str, node: NodeSpec, timeout: float, progress: Progress) -> None:
    """Start a node agent and wait until the node takes pods; a failure undoes it."""
    ports.require_free([plan.node_listener(plan.cluster(cluster), node)])
    state.prepare(record.require().with_node(cluster, node))
    try:
        control.reload()
        state.wait_for_none(lambda: [n for n in [node.name] if n not in bringup.ready_nodes(cluster)], timeout, progress)
    except BaseException:
        forget_node(cluster, node.name)
        raise


def forget_node(cluster: str, node: str) -> None:
    """End a node's agent with everything still running on it, and remove its object, keys and files."""
    state.prepare(record.require().without_node(cluster, node))
    control.reload()
    kubectl.run(cluster, "delete", "node", node, "--ignore-not-found")
    # No agent is left to confirm that the node's DaemonSet pods ended.
    chosen = [f"--field-selector=spec.nodeName={node}", "--grace-period=0", "--force", "--ignore-not-found"]
    kubectl.run(cluster, "delete", "pods", "--all-namespaces", *chosen)
    pki.remove_node(cluster, node)
    _remove_node_files(node)
