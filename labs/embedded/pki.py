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

import os
import shutil
from pathlib import Path

import yaml

from labs import config
from labs.embedded import plan
from labs.embedded.certificates import Authority, write_key, write_private, write_public_key

PKI = config.STATE / "pki"
MASTERS = "system:masters"


def folder(cluster: str) -> Path:
    return PKI / cluster


def exists() -> bool:
    """Whether a complete set of keys is there: the folder appears under its name only when it is complete."""
    return PKI.is_dir() and all(folder(cluster.name).is_dir() for cluster in plan.clusters())


def create() -> None:
    """Make all keys and certificates in a temporary folder, then put it in place in one rename."""
    draft = PKI.with_name("pki.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    for name in ["etcd", *(cluster.name for cluster in plan.clusters())]:
        (draft / name).mkdir(parents=True, mode=0o700)
    draft.chmod(0o700)
    _etcd_keys(draft / "etcd")
    for cluster in plan.clusters():
        _cluster_keys(draft / cluster.name, cluster)
    shutil.rmtree(PKI, ignore_errors=True)
    draft.rename(PKI)


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
    for node in cluster.spec.nodes:
        authority.issue(node.name, f"system:node:{node.name}", ["system:nodes"], hosts=[cluster.node_host(node), node.name])
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
    _write_yaml(config.KUBECONFIG, merged)


def _write_yaml(path: Path, content: object) -> None:
    draft = path.with_name(path.name + ".tmp")
    write_private(draft, yaml.safe_dump(content, sort_keys=False).encode())
    os.replace(draft, path)
