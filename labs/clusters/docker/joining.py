"""A worker that joins a cluster of kind's after its creation: a container as kind makes them, then ``kubeadm join``.

kind itself cannot add nodes. The flags of the container are those of ``runArgsForNode`` and ``commonArgs`` in
pkg/cluster/internal/providers/docker/provision.go; the configuration is a worker's in pkg/cluster/internal/kubeadm/config.go.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from typing import Any

import yaml

from labs import errors, waiting
from labs.clusters.base import Cluster
from labs.clusters.docker.engine import NETWORK, docker
from labs.clusters.docker.node_containers import NodeContainer
from labs.clusters.docker.tool import ClusterTool
from labs.topology import NodeSpec

BOOTED = re.compile(r"Reached target .*Multi-User System.*|detected cgroup v1")
"""What a node's log says once commands may be run in it without disturbing its control groups (providers/common/cgroups.go)."""
BOOT_TIMEOUT = 60.0
TOKEN_LIFETIME = "10m"
PROXY = re.compile(r"(HTTPS?|NO)_PROXY=", re.IGNORECASE)
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def join(tool: ClusterTool, existing: Sequence[NodeContainer], node: NodeSpec, timeout: float) -> None:
    """Make the container of ``node`` and have it join the cluster of the containers ``existing``.

    Raises:
        TimedOut: it did not boot.
        CommandFailed: docker or kubeadm refused.
    """
    control_plane = next(row for row in existing if row.role == tool.control_plane)
    docker(*run_command(tool, _inspect(control_plane.name), control_plane.cluster, node.name))
    if not waiting.wait_until(lambda: BOOTED.search(_log(node.name)), BOOT_TIMEOUT, interval=0.5):
        raise errors.TimedOut(f"node {node.name} did not boot within {BOOT_TIMEOUT:.0f} s", fix=f"docker logs {node.name}")
    token = docker("exec", control_plane.name, "kubeadm", "token", "create", "--ttl", TOKEN_LIFETIME).strip()
    address = _inspect(node.name)["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
    configuration = join_configuration(control_plane, node, token, address)
    _write(node.name, "/kind/kubeadm.conf", yaml.safe_dump(configuration, sort_keys=False))
    docker("exec", node.name, "kubeadm", "join", "--config", "/kind/kubeadm.conf", timeout=timeout)


def run_command(tool: ClusterTool, like: dict[str, Any], cluster: str, name: str) -> list[str]:
    """The words after ``docker`` that make a worker's container; image and proxies are those of the container ``like``."""
    variables = [word for row in like["Config"].get("Env") or [] if PROXY.match(row) for word in ("-e", row)]
    userns = ["--userns=host"] if like["HostConfig"].get("UsernsMode") == "host" else []
    return [
        "run",
        *("--name", name, "--hostname", name, "--label", f"{tool.role_label}={tool.worker}"),
        *("--privileged", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
        *("--tmpfs", "/tmp", "--tmpfs", "/run", "--volume", "/var", "--volume", "/lib/modules:/lib/modules:ro"),
        *("--detach", "--tty", "--label", f"{tool.cluster_label}={cluster}", "--net", NETWORK),
        *("--restart=on-failure:1", "--init=false", "--cgroupns=private"),
        *variables,
        *userns,
        like["Config"]["Image"],
    ]


def join_configuration(control_plane: NodeContainer, node: NodeSpec, token: str, address: str) -> dict[str, Any]:
    """kubeadm's JoinConfiguration; the rest of a kubelet's configuration comes from the cluster."""
    arguments = {
        "node-ip": address,
        "provider-id": f"kind://docker/{control_plane.cluster}/{node.name}",
        "node-labels": ",".join(f"{key}={value}" for key, value in labels(node).items()),
    }
    registration: dict[str, Any] = {
        "criSocket": "unix:///run/containerd/containerd.sock",
        "kubeletExtraArgs": [{"name": key, "value": value} for key, value in arguments.items()],
    }
    if node.gpu:
        registration["taints"] = [GPU_TAINT]
    endpoint = {"apiServerEndpoint": f"{control_plane.name}:6443", "token": token, "unsafeSkipCAVerification": True}
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "nodeRegistration": registration,
        "discovery": {"bootstrapToken": endpoint},
        # It would pull images that the node has.
        "skipPhases": ["preflight"],
    }


def labels(node: NodeSpec) -> dict[str, str]:
    """The labels that the lab gives a node: those that were asked for, and NVIDIA's for its simulated GPUs."""
    if node.gpu is None:
        return dict(node.labels)
    gpu = {"present": "true", "product": node.gpu.product, "count": str(node.gpu.count)}
    return {f"nvidia.com/gpu.{key}": value for key, value in gpu.items()} | dict(node.labels)


def mark(cluster: Cluster, node: NodeSpec, timeout: float) -> None:
    """Wait until the node is Ready, and make labels and taint about GPUs agree with ``node``: k3d copies those of another."""
    cluster.kubectl("wait", "--for=create", f"node/{node.name}", f"--timeout={timeout:.0f}s", timeout=timeout + 10)
    wanted = labels(node)
    gone = [f"nvidia.com/gpu.{key}" for key in ("present", "product", "count") if f"nvidia.com/gpu.{key}" not in wanted]
    changes = [*(f"{key}={value}" for key, value in wanted.items()), *(f"{key}-" for key in gone)]
    cluster.kubectl("label", "node", node.name, "--overwrite", *changes)
    taint = f"{GPU_TAINT['key']}={GPU_TAINT['value']}:{GPU_TAINT['effect']}" if node.gpu else None
    there = f"{GPU_TAINT['key']}" in cluster.kubectl("get", "node", node.name, "--output=jsonpath={.spec.taints[*].key}").split()
    if taint and not there:
        cluster.kubectl("taint", "node", node.name, taint)
    if there and not taint:
        cluster.kubectl("taint", "node", node.name, f"{GPU_TAINT['key']}-")
    wait = f"--timeout={timeout:.0f}s"
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", wait, timeout=timeout + 10)


def _inspect(name: str) -> dict[str, Any]:
    (row,) = json.loads(docker("container", "inspect", name))
    found: dict[str, Any] = row
    return found


def _log(name: str) -> str:
    """What a container has written to both of its streams."""
    said = subprocess.run(["docker", "logs", name], capture_output=True, text=True, errors="replace", check=False)
    return said.stdout + said.stderr


def _write(node: str, path: str, text: str) -> None:
    docker("exec", "--interactive", node, "sh", "-ec", f"cat > {path}", input=text)
