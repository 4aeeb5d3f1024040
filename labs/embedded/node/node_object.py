"""The Node object that this agent maintains: labels and taints at registration, then its status."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
from pathlib import Path

import psutil

from labs import config, topology
from labs.embedded import plan
from labs.embedded.node.model import Node, Object

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
MIN_CORES = 4
"""A node offers at least this many cores and ``MIN_MEMORY`` bytes. Nothing enforces cores: only the scheduler counts them."""
MIN_MEMORY = 8 * 2**30
RESERVED_MEMORY = 100 * 2**20
"""Bytes of memory not given to pods: the kubelet's default eviction threshold."""
MAX_PODS = 110
MEBIBYTES_PER_GB = 1024
"""GPU names say GB where GPU feature discovery's label counts MiB: an 80GB GPU has 81920."""

CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
"""Type, status, reason, message, with the kubelet's words. This agent evicts no pods, so it never reports pressure."""


def labels(node: Node) -> dict[str, str]:
    """The labels that a kubelet, and on a GPU node NVIDIA's feature discovery, give a node.

    The control-plane role is not among them: the API server lets no node give itself a role.
    """
    found = {"kubernetes.io/hostname": node.name}
    for prefix in ("", "beta."):
        found[f"{prefix}kubernetes.io/os"] = "linux"
        found[f"{prefix}kubernetes.io/arch"] = architecture()
    if node.spec.gpu:
        found |= gpu_labels(node.spec.gpu)
    return found | node.spec.labels


def gpu_labels(gpu: topology.GpuSpec) -> dict[str, str]:
    size = re.search(r"(\d+)GB", gpu.product)
    memory = {"nvidia.com/gpu.memory": str(int(size[1]) * MEBIBYTES_PER_GB)} if size else {}
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": gpu.product,
        "nvidia.com/gpu.count": str(gpu.count),
    } | memory


def taints(node: Node) -> list[Object]:
    found = []
    if node.spec.control_plane and not node.spec.schedulable:
        found.append({"key": CONTROL_PLANE, "effect": "NoSchedule"})
    if node.spec.gpu:
        found.append({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"})
    return found


def new(node: Node) -> Object:
    """The object to register, without status."""
    cidr = str(node.pod_range)
    spec = {"podCIDR": cidr, "podCIDRs": [cidr], "taints": taints(node)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels(node)}, "spec": spec}


def status(
    node: Node, current: Object, capacity: dict[str, int], allocatable: dict[str, int], now: str, *, registering: bool = False
) -> Object:
    """The status to write, given the API server's current one, the devices' counts and the time.

    Extended resources that no plugin of this agent offers are not ours and stay as they are; adding one by hand patches
    only the capacity, and a kubelet then reports all of it as allocatable. Only a node that registers without knowing any device
    sets them to 0, as a kubelet does: they may be left from an earlier life of the node.
    """
    machine, free = machine_resources()
    foreign = [name for name in current.get("capacity", ()) if "/" in name and name not in capacity]
    if registering and not capacity:
        machine, free = (resources | dict.fromkeys(foreign, "0") for resources in (machine, free))
    else:
        theirs = {name: current["capacity"][name] for name in foreign}
        machine, free = (
            machine | theirs,
            free | {name: current.get("allocatable", {}).get(name, theirs[name]) for name in foreign},
        )
    return {
        "capacity": machine | _counts(capacity),
        "allocatable": free | _counts(allocatable),
        "conditions": [_condition(row, current.get("conditions", []), now) for row in CONDITIONS],
        "addresses": [{"type": "InternalIP", "address": node.address}, {"type": "Hostname", "address": node.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": plan.KUBELET_PORT}},
        # With it the API server passes WebSockets through to the node; without it, it speaks SPDY.
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        "nodeInfo": node_info(),
    }


def _counts(resources: dict[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in resources.items()}


def _condition(row: tuple[str, str, str, str], current: list[Object], now: str) -> Object:
    kind, state, reason, message = row
    before = next((old for old in current if old["type"] == kind), None)
    since = before["lastTransitionTime"] if before and before["status"] == state else now
    times = {"lastHeartbeatTime": now, "lastTransitionTime": since}
    return {"type": kind, "status": state, "reason": reason, "message": message} | times


@functools.cache
def machine_resources() -> tuple[dict[str, str], dict[str, str]]:
    """Capacity and allocatable of the machine, as every one of its nodes reports them."""
    memory = max(MIN_MEMORY, psutil.virtual_memory().total)
    disk = shutil.disk_usage(config.ROOT).total
    capacity = {
        "cpu": str(max(MIN_CORES, os.cpu_count() or 1)),
        "memory": f"{memory // 1024}Ki",
        "ephemeral-storage": f"{disk // 1024}Ki",
        "pods": str(MAX_PODS),
    }
    return capacity, capacity | {"memory": f"{(memory - RESERVED_MEMORY) // 1024}Ki"}


@functools.cache
def node_info() -> Object:
    """What ``kubectl describe node`` shows as System Info; the versions say that this is not a kubelet."""
    version = f"v{config.versions()['kubernetes']['version']}+embedded"
    return {
        "machineID": _read("/etc/machine-id"),
        "systemUUID": _read("/etc/machine-id"),
        "bootID": _read("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        "containerRuntimeVersion": "processes://0.1.0",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "operatingSystem": "linux",
        "architecture": architecture(),
    }


def architecture() -> str:
    """Of this machine, in Go's words."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
