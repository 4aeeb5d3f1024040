"""Whether this node takes a pod that was bound to it: checks what it can never run, then devices, then countable resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from labs.embedded.node import affinity, node_object, quantity
from labs.embedded.node.context import Services
from labs.embedded.node.model import Allocation, DeviceError, Object, PodRecord

SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced": "hostIPC",
    "net.ipv4.ip_local_port_range": "hostNetwork",
    "net.ipv4.ip_local_reserved_ports": "hostNetwork",
    "net.ipv4.ip_unprivileged_port_start": "hostNetwork",
    "net.ipv4.ping_group_range": "hostNetwork",
    "net.ipv4.tcp_fin_timeout": "hostNetwork",
    "net.ipv4.tcp_keepalive_intvl": "hostNetwork",
    "net.ipv4.tcp_keepalive_probes": "hostNetwork",
    "net.ipv4.tcp_keepalive_time": "hostNetwork",
    "net.ipv4.tcp_notsent_lowat": "hostNetwork",
    "net.ipv4.tcp_rmem": "hostNetwork",
    "net.ipv4.tcp_slow_start_after_idle": "hostNetwork",
    "net.ipv4.tcp_syncookies": "hostNetwork",
    "net.ipv4.tcp_wmem": "hostNetwork",
}
"""What a kubelet lets every pod set (kubernetes.io, "Using sysctls in a Kubernetes Cluster"), and the field that forbids it."""
EVERYWHERE = ("", "0.0.0.0", "::")
"""Values of a port's hostIP that mean all of the node's addresses."""


class Rejected(Exception):
    """The node refuses the pod; ``reason`` and message become the pod's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def admit(services: Services, pod: PodRecord, others: Iterable[PodRecord]) -> None:
    """Reserve what ``pod`` asks for; ``others`` are the pods that already run here.

    Raises:
        Rejected: the node cannot run it, a device is not available, or something does not fit.
    """
    running = [granted(other) for other in others]
    check_kind(pod.pod)
    await _allocate(services, pod)
    fit(pod.pod, running, services.allocatable())
    await _check_node(services, pod.pod)
    check_host_ports(pod.pod, running)


def check_kind(pod: Object) -> None:
    """Check for what no node of this kind runs.

    Raises:
        Rejected: another operating system, or a sysctl that is not safe.
    """
    spec = pod["spec"]
    if spec.get("os", {}).get("name", "linux") != "linux":
        raise Rejected("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if pod["metadata"].get("labels", {}).get("kubernetes.io/os", "linux") != "linux":
        text = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
        raise Rejected("PodOSSelectorNodeLabelDoesNotMatch", text)
    for sysctl in spec.get("securityContext", {}).get("sysctls", []):
        name = sysctl["name"].replace("/", ".")
        if name not in SAFE_SYSCTLS:
            raise Rejected("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        if spec.get(SAFE_SYSCTLS[name]):
            namespace = {"hostIPC": "IPC", "hostNetwork": "Net"}[SAFE_SYSCTLS[name]]
            raise Rejected("SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host {namespace} enabled')


async def _check_node(services: Services, pod: Object) -> None:
    """Whether the node is one that the pod may run on; the scheduler has checked already, unless the pod names its node itself.

    Raises:
        Rejected: its nodeSelector or required node affinity does not match.
    """
    name = services.node.name
    if affinity.matches(pod["spec"], node_object.labels(services.node), name):
        return
    # Others may have added labels to the node.
    node = await services.api.get("nodes", None, name)
    if not affinity.matches(pod["spec"], node["metadata"].get("labels", {}), name):
        raise Rejected("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")


def check_host_ports(pod: Object, others: Sequence[Object]) -> None:
    """Whether the node's ports that the pod asks for are free.

    Raises:
        Rejected: another pod has one of them.
    """
    taken = [port for other in others for port in _host_ports(other)]
    if any(_collide(port, other) for port in _host_ports(pod) for other in taken):
        raise Rejected("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")


def _host_ports(pod: Object) -> list[tuple[str, str, int]]:
    """(host address, protocol, port) of each port of the node that the pod claims."""
    return [
        (port.get("hostIP", ""), port.get("protocol", "TCP"), port["hostPort"])
        for container in _containers(pod)
        for port in container.get("ports", [])
        if port.get("hostPort")
    ]


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    same_address = one[0] == other[0] or one[0] in EVERYWHERE or other[0] in EVERYWHERE
    return same_address and one[1:] == other[1:]


async def _allocate(services: Services, pod: PodRecord) -> None:
    """Devices for every container. Init containers run one after another: the next ones and the mains reuse their devices."""
    pod.allocations.clear()
    reusable: dict[str, list[str]] = {}
    for record in pod.containers.values():
        for resource, amount in record.spec.get("resources", {}).get("limits", {}).items():
            if not services.devices.manages(resource) or not quantity.whole(amount):
                continue
            left = reusable.setdefault(resource, [])
            allocation = await _allocate_one(services, pod, record.name, resource, quantity.whole(amount), left)
            pod.allocations.setdefault(record.name, []).append(allocation)
            if record.kind == "init":
                left += [device for device in allocation.device_ids if device not in left]
            else:
                left[:] = [device for device in left if device not in allocation.device_ids]


async def _allocate_one(
    services: Services, pod: PodRecord, container: str, resource: str, count: int, reusable: Sequence[str]
) -> Allocation:
    try:
        return await services.devices.allocate(pod, container, resource, count, reusable)
    except DeviceError as error:
        raise Rejected("UnexpectedAdmissionError", f"Allocate failed due to {error}, which is unexpected") from error


def fit(pod: Object, others: Sequence[Object], allocatable: Mapping[str, str]) -> None:
    """Compare requests with what is left.

    Extended resources unknown to this node do not count: they may belong to the whole cluster or to a driver.

    Raises:
        Rejected: with the numbers, CPU in thousandths, all else in whole units.
    """
    slots = quantity.whole(allocatable.get("pods", "110"))
    if len(others) + 1 > slots:
        raise _out_of("pods", 1, len(others), slots)
    asked_for = {name for item in _containers(pod) for name in _asked(item)} | _asked(pod["spec"])
    for resource in sorted(name for name in asked_for if name in allocatable or "/" not in name):
        unit = quantity.parse("1m") if resource == "cpu" else Decimal(1)
        asked, used = (sum(quantity.requests(item, resource) for item in items) for items in ([pod], others))
        capacity = quantity.parse(allocatable.get(resource, "0"))
        if asked and asked + used > capacity:
            raise _out_of(resource, int(asked / unit), int(used / unit), int(capacity / unit))


def granted(pod: PodRecord) -> Object:
    """The pod with the resources that its node has granted in place of those that its spec asks for."""
    spec = dict(pod.pod["spec"])
    for key in ("initContainers", "containers"):
        if key in spec:
            spec[key] = [row | {"resources": pod.containers[row["name"]].allocated} for row in spec[key]]
    return pod.pod | {"spec": spec}


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _asked(holder: Object) -> set[str]:
    resources = holder.get("resources", {})
    return set(resources.get("requests", {})) | set(resources.get("limits", {}))


def _out_of(resource: str, asked: int, used: int, capacity: int) -> Rejected:
    numbers = f"requested: {asked}, used: {used}, capacity: {capacity}"
    return Rejected(f"OutOf{resource}", f"Node didn't have enough resource: {resource}, {numbers}")
