"""The lab's keys: per cluster a folder ``.lab/pki/CLUSTER``, and ``.lab/pki/etcd`` for the etcd they share.

In each cluster's folder, every ``X`` being ``X.crt`` and ``X.key`` (mode 0600):

- ``ca``: signs all others; ``ca.crt`` is also what pods trust and what a node agent checks its clients with
- ``apiserver``: the API server's own; ``kubelet-client``: what it shows to node agents
- ``front-proxy-ca``, ``front-proxy-client``: API server to aggregated API servers
- ``admin``, ``scheduler``, ``controller-manager``, ``service-proxy``: clients
- ``NODE``: a node agent's, client (``system:node:NODE``) and server (its InternalIP) in one
- ``service-account.key`` and ``service-account.pub``: sign and check service-account tokens
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from labs.embedded import plan
from labs.embedded.certificates import Authority, write_key, write_public_key
from labs.paths import Paths
from labs.topology import NodeSpec
from labs.wire.replace_file import write_private

ETCD = "etcd"
MASTERS = "system:masters"


def root() -> Path:
    return Paths.current().state / "pki"


def folder(cluster: str) -> Path:
    return root() / cluster


def ensure() -> None:
    """Make the missing keys of etcd, every cluster and every node; existing keys stay as they are."""
    root().mkdir(parents=True, exist_ok=True, mode=0o700)
    _ensure_folder(ETCD, _etcd_keys)
    for cluster in plan.clusters():
        _ensure_folder(cluster.name, partial(_cluster_keys, cluster=cluster))
        for node in cluster.spec.nodes:
            _ensure_node(cluster, node)


def remove(cluster: str) -> None:
    shutil.rmtree(folder(cluster), ignore_errors=True)


def remove_node(cluster: str, node: str) -> None:
    for suffix in ("crt", "key"):
        (folder(cluster) / f"{node}.{suffix}").unlink(missing_ok=True)


def _ensure_folder(name: str, make: Callable[[Path], None]) -> None:
    """Make a folder of keys in one rename: it appears under its name only when it is complete."""
    if folder(name).is_dir():
        return
    draft = folder(f"{name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    make(draft)
    draft.rename(folder(name))


def _ensure_node(cluster: plan.ClusterPlan, node: NodeSpec) -> None:
    if (folder(cluster.name) / f"{node.name}.crt").exists():
        return
    authority = Authority.load(folder(cluster.name), "ca")
    authority.issue(node.name, f"system:node:{node.name}", ["system:nodes"], hosts=[cluster.node_host(node), node.name])


def _etcd_keys(directory: Path) -> None:
    authority = Authority.create(directory, "ca", "etcd-ca")
    authority.issue("server", "etcd", hosts=[plan.ETCD_HOST])
    authority.issue("client", "kube-apiserver-etcd-client")


def _cluster_keys(directory: Path, cluster: plan.ClusterPlan) -> None:
    authority = Authority.create(directory, "ca", f"{cluster.name}-ca")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = [cluster.host, cluster.advertised, cluster.kubernetes_service]
    authority.issue("apiserver", "kube-apiserver", hosts=[*names, *addresses])
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client")
    authority.issue("admin", "kubernetes-admin", [MASTERS])
    authority.issue("scheduler", "system:kube-scheduler")
    authority.issue("controller-manager", "system:kube-controller-manager")
    authority.issue("service-proxy", "system:kube-proxy")
    Authority.create(directory, "front-proxy-ca", "front-proxy-ca").issue("front-proxy-client", "front-proxy-client")
    write_public_key(directory / "service-account.pub", write_key(directory / "service-account.key"))


def kubeconfig(cluster: plan.ClusterPlan, name: str, context: str | None = None) -> dict[str, object]:
    """A kubeconfig with one context, for the certificate ``name`` of ``cluster``."""
    directory = folder(cluster.name)
    user = f"{cluster.name}-{name}"
    credentials = {"client-certificate": str(directory / f"{name}.crt"), "client-key": str(directory / f"{name}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context or cluster.name,
        "clusters": [
            {
                "name": cluster.name,
                "cluster": {"server": cluster.server, "certificate-authority": str(directory / "ca.crt")},
            }
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": context or cluster.name, "context": {"cluster": cluster.name, "user": user}}],
    }


def write_kubeconfigs() -> None:
    """``.lab/kubeconfig`` with a context per cluster, and one file per control-plane client beside its key."""
    merged: dict[str, object] = {}
    for cluster in plan.clusters():
        admin = kubeconfig(cluster, "admin")
        for key in ("clusters", "users", "contexts"):
            admin[key] = [*merged.get(key, []), *admin[key]]  # type: ignore[misc]
        merged = admin | {"current-context": merged.get("current-context", cluster.name)}
        for name in ("scheduler", "controller-manager"):
            _write_yaml(folder(cluster.name) / f"{name}.kubeconfig", kubeconfig(cluster, name))
    _write_yaml(Paths.current().kubeconfig, merged)


def _write_yaml(path: Path, content: object) -> None:
    write_private(path, yaml.safe_dump(content, sort_keys=False))
