"""Command lines of etcd and of each cluster's kube-apiserver, kube-scheduler and kube-controller-manager.

Times are shorter than Kubernetes' defaults where a learner would have to wait: a node counts as lost after 16 s without a
heartbeat (default 50 s), and its pods are evicted 15 s later (default 300 s).
"""

from __future__ import annotations

from pathlib import Path

from labs.embedded import pki, plan
from labs.embedded.child import ChildSpec, HttpProbe
from labs.paths import Paths

NODE_LOST_AFTER = 16
"""Seconds without a heartbeat until a node is NotReady; must be a multiple of the agents' heartbeat interval."""
EVICT_AFTER = 15
"""Seconds a pod tolerates a lost node (``tolerationSeconds`` of the two tolerations every pod gets)."""
ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd(programs: Path) -> ChildSpec:
    """The one etcd; the clusters keep their objects apart by ``--etcd-prefix``."""
    keys = pki.folder(pki.ETCD)
    client = f"https://{plan.ETCD_HOST}:{plan.ETCD_CLIENT_PORT}"
    peer = f"https://{plan.ETCD_HOST}:{plan.ETCD_PEER_PORT}"
    argv = [
        str(programs / "etcd"),
        "--name=lab",
        f"--data-dir={Paths.current().state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        f"--cert-file={keys / 'server.crt'}",
        f"--key-file={keys / 'server.key'}",
        f"--trusted-ca-file={keys / 'ca.crt'}",
        "--client-cert-auth=true",
        # There are no peers, but the port is open: without a certificate anyone on the machine could join the cluster.
        f"--peer-cert-file={keys / 'server.crt'}",
        f"--peer-key-file={keys / 'server.key'}",
        f"--peer-trusted-ca-file={keys / 'ca.crt'}",
        "--peer-client-cert-auth=true",
        # A lab may lose its last second on power loss; in exchange a slow disk does not stall two clusters.
        "--unsafe-no-fsync=true",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]
    probe = HttpProbe(f"{client}/health", keys / "ca.crt", keys / "client.crt", keys / "client.key")
    return ChildSpec("etcd", argv, probe=probe, stop_order=9)


def api_server(cluster: plan.ClusterPlan, programs: Path) -> ChildSpec:
    keys = pki.folder(cluster.name)
    argv = [
        str(programs / "kube-apiserver"),
        f"--bind-address={cluster.host}",
        f"--advertise-address={cluster.advertised}",
        f"--secure-port={plan.API_PORT}",
        f"--service-cluster-ip-range={cluster.spec.service_range}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        *_etcd_flags(cluster),
        *_serving_flags(keys),
        *_service_account_flags(keys),
        *_kubelet_flags(keys),
        *_pace_flags(),
    ]
    probe = HttpProbe(f"{cluster.server}/readyz", keys / "ca.crt", keys / "admin.crt", keys / "admin.key")
    return ChildSpec(f"{cluster.name}/kube-apiserver", argv, after=("etcd",), probe=probe, env=_go_memory(), stop_order=5)


def _etcd_flags(cluster: plan.ClusterPlan) -> list[str]:
    keys = pki.folder(pki.ETCD)
    return [
        f"--etcd-servers=https://{plan.ETCD_HOST}:{plan.ETCD_CLIENT_PORT}",
        f"--etcd-prefix=/{cluster.name}",
        f"--etcd-cafile={keys / 'ca.crt'}",
        f"--etcd-certfile={keys / 'client.crt'}",
        f"--etcd-keyfile={keys / 'client.key'}",
        "--etcd-compaction-interval=0",
    ]


def _serving_flags(keys: Path) -> list[str]:
    return [
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--requestheader-client-ca-file={keys / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={keys / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={keys / 'front-proxy-client.key'}",
    ]


def _service_account_flags(keys: Path) -> list[str]:
    return [
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={keys / 'service-account.pub'}",
        f"--service-account-signing-key-file={keys / 'service-account.key'}",
    ]


def _kubelet_flags(keys: Path) -> list[str]:
    return [
        f"--kubelet-certificate-authority={keys / 'ca.crt'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _pace_flags() -> list[str]:
    return [
        f"--default-not-ready-toleration-seconds={EVICT_AFTER}",
        f"--default-unreachable-toleration-seconds={EVICT_AFTER}",
    ]


def scheduler(cluster: plan.ClusterPlan, programs: Path) -> ChildSpec:
    kubeconfig = pki.folder(cluster.name) / "scheduler.kubeconfig"
    argv = [
        str(programs / "kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]
    return ChildSpec(f"{cluster.name}/kube-scheduler", argv, after=(f"{cluster.name}/kube-apiserver",), env=_go_memory())


def controller_manager(cluster: plan.ClusterPlan, programs: Path) -> ChildSpec:
    keys = pki.folder(cluster.name)
    argv = [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={keys / 'controller-manager.kubeconfig'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={keys / 'ca.crt'}",
        f"--service-account-private-key-file={keys / 'service-account.key'}",
        f"--cluster-signing-cert-file={keys / 'ca.crt'}",
        f"--cluster-signing-key-file={keys / 'ca.key'}",
        f"--node-monitor-grace-period={NODE_LOST_AFTER}s",
        "--node-monitor-period=2s",
    ]
    after = (f"{cluster.name}/kube-apiserver",)
    return ChildSpec(f"{cluster.name}/kube-controller-manager", argv, after=after, env=_go_memory())


def _go_memory() -> dict[str, str]:
    """Four large Go programs per cluster on a small machine: collect garbage earlier than Go's default of 100 %."""
    return {"GOGC": "75"}
