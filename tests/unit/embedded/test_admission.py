"""Which pods a node takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from labs.embedded.node import admission
from labs.embedded.node.admission import Rejected, admit
from labs.embedded.node.affinity import matches
from labs.embedded.node.context import Services
from labs.embedded.node.model import Allocation, PodRecord
from tests.unit.embedded.fake_services import NoDevices, record, services


async def rejection(pod: PodRecord, *others: PodRecord, shared: Services | None = None) -> tuple[str, str] | None:
    try:
        await admit(shared or services(), pod, others)
    except Rejected as rejected:
        return rejected.reason, rejected.message
    return None


def asking(resource: str, amount: str) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "busybox:1", "resources": {"requests": {resource: amount}}}]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, None),
        ({"os": {"name": "linux"}}, None),
        ({"os": {"name": "windows"}}, "PodOSNotSupported"),
        ({"securityContext": {"sysctls": [{"name": "net/ipv4/tcp_fin_timeout", "value": "9"}]}}, None),
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "9"}]}}, "SysctlForbidden"),
        (
            {"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "9"}]}},
            "SysctlForbidden",
        ),
        ({"nodeSelector": {"kubernetes.io/os": "linux"}}, None),
        ({"nodeSelector": {"disk": "ssd"}}, "NodeAffinity"),
        ({"containers": asking("cpu", "3")}, None),
        ({"containers": asking("cpu", "5")}, "OutOfcpu"),
        ({"containers": asking("example.com/unheard-of", "1")}, None),
        ({"resources": {"requests": {"memory": "9Gi"}}}, "OutOfmemory"),
    ],
)
async def test_one_pod_alone(tmp_path: Path, spec: dict[str, Any], reason: str | None) -> None:
    found = await rejection(record(tmp_path, **spec))
    assert (found and found[0]) == reason


async def test_a_label_that_somebody_gave_the_node_counts(tmp_path: Path) -> None:
    shared = services()
    cast(Any, shared.api).labels = {"disk": "ssd"}
    assert await rejection(record(tmp_path, nodeSelector={"disk": "ssd"}), shared=shared) is None


def listening(port: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "busybox:1", "ports": [{"containerPort": 80, "hostPort": port} | changes]}]


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        (listening(8080), True),
        (listening(8080, hostIP="127.0.0.1"), True),
        (listening(8080, protocol="UDP"), False),
        (listening(8081), False),
    ],
)
async def test_a_port_of_the_node_is_given_once(tmp_path: Path, other: list[dict[str, Any]], refused: bool) -> None:
    found = await rejection(record(tmp_path, containers=listening(8080)), record(tmp_path, name="first", containers=other))
    assert (found is not None) is refused
    assert found is None or found[0] == "NodePorts"


async def test_what_counts_of_other_pods_is_what_they_were_granted(tmp_path: Path) -> None:
    """The other pod's spec asks for less by now, but the node has not taken anything back."""
    other = record(tmp_path, name="first", containers=asking("cpu", "3"))
    other.containers["main"].spec = other.pod["spec"]["containers"][0] = asking("cpu", "1")[0]
    found = await rejection(record(tmp_path, containers=asking("cpu", "2")), other)
    assert found == ("OutOfcpu", "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000")


class Gpus(NoDevices):
    """Four GPUs; keeps who asked for how many, and what they might use again."""

    def __init__(self) -> None:
        self.free = ["g0", "g1", "g2", "g3"]

    def manages(self, resource: str) -> bool:
        return resource == "example.com/gpu"

    async def allocate(self, pod: PodRecord, container: str, resource: str, count: int, reusable: Any = ()) -> Allocation:
        chosen = list(reusable)[:count]
        while len(chosen) < count:
            chosen.append(self.free.pop(0))
        return Allocation(resource, tuple(chosen))


def gpus(name: str, count: int, **changes: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox:1", "resources": {"limits": {"example.com/gpu": str(count)}}} | changes


@pytest.mark.parametrize(
    ("inits", "mains", "left"),
    [
        ([gpus("i", 4)], [gpus("m", 4)], 0),
        ([gpus("i", 1)], [gpus("m", 1)], 3),
        ([gpus("i", 1), gpus("j", 2)], [gpus("m", 1)], 2),
        ([gpus("i", 2)], [gpus("m", 1), gpus("n", 1)], 2),
        ([gpus("s", 1, restartPolicy="Always")], [gpus("m", 1)], 2),
        ([gpus("i", 2), gpus("s", 1, restartPolicy="Always")], [gpus("m", 1)], 2),
        ([gpus("i", 0)], [gpus("m", 1)], 3),
    ],
)
async def test_what_init_containers_leave_is_used_again(tmp_path: Path, inits: Any, mains: Any, left: int) -> None:
    devices = Gpus()
    shared = services(devices=devices, allocatable=lambda: {"pods": "110", "example.com/gpu": "4"})
    pod = record(tmp_path, initContainers=inits, containers=mains)
    assert await rejection(pod, shared=shared) is None
    assert len(devices.free) == left
    lasting = [name for name, item in pod.containers.items() if item.kind != "init"]
    held = [device for name in lasting for row in pod.allocations.get(name, []) for device in row.device_ids]
    assert len(held) == len(set(held)), "two containers that run at the same time share a device"


@pytest.mark.parametrize(
    ("expression", "matched"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "b", "operator": "NotIn", "values": ["1"]}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "b", "operator": "DoesNotExist"}, True),
        ({"key": "a", "operator": "Gt", "values": ["0"]}, True),
        ({"key": "a", "operator": "Lt", "values": ["1"]}, False),
        ({"key": "b", "operator": "Gt", "values": ["0"]}, False),
    ],
)
def test_node_affinity(expression: dict[str, Any], matched: bool) -> None:
    def spec(*terms: dict[str, Any]) -> dict[str, Any]:
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
        return {"affinity": {"nodeAffinity": required}}

    name = {"key": "metadata.name", "operator": "In", "values": ["n"]}
    assert matches(spec({"matchExpressions": [expression]}), {"a": "1"}, "n") is matched
    assert matches(spec({}, {"matchExpressions": [expression], "matchFields": [name]}), {"a": "1"}, "n") is matched
    assert not matches(spec({}, {"matchExpressions": [expression], "matchFields": [name]}), {"a": "1"}, "other")


def test_the_safe_sysctls_say_which_field_forbids_them() -> None:
    assert set(admission.SAFE_SYSCTLS.values()) == {"hostIPC", "hostNetwork"}
