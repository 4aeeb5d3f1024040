"""Nodes that are containers: what is paused, entered and shaped, seen from a fake engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labs import errors, link_conditions
from labs.clusters.docker import links as docker_links
from labs.clusters.docker.backend import DockerBackend, k3d, kind
from labs.clusters.docker.links import Shape, traffic_control
from labs.clusters.nodes import Node
from labs.link_conditions import CLEAR, LinkConditions
from tests.unit.clusters.fake_machine import NODES, Machine, Quiet

POD = {
    "spec": {"nodeName": "gpu-worker"},
    "status": {
        "initContainerStatuses": [{"name": "linkerd-proxy", "containerID": "containerd://abc"}],
        "containerStatuses": [{"name": "model-server", "containerID": "containerd://def"}],
    },
}


def state(machine: Machine, node: str) -> str:
    return str(machine.read()["containers"][node]["State"]["Status"])


def links(machine: Machine) -> dict[str, list[str]]:
    found: dict[str, list[str]] = machine.read()["links"]
    return found


def test_the_nodes_of_a_cluster_are_its_containers(machine: Machine, backend: DockerBackend) -> None:
    assert list(backend.nodes.list("gpu")) == []
    backend.up(Quiet())
    names = [name for name in NODES[backend.name] if "gpu" in name]
    assert backend.nodes.list("gpu") == [Node(name, "control" in name or "server" in name) for name in names]


def test_a_frozen_node_is_paused_and_thawing_twice_is_harmless(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    node = next(node.name for node in backend.nodes.list("gpu") if not node.control_plane)
    backend.nodes.freeze("gpu", node)
    assert state(machine, node) == "paused"
    assert node in [found.name for found in backend.nodes.list("gpu")]
    for _ in range(2):
        backend.nodes.thaw("gpu", node)
        assert state(machine, node) == "running"


def test_of_a_frozen_control_plane_only_its_programs_stop(machine: Machine) -> None:
    backend = kind()
    backend.up(Quiet())
    programs = "kube-apiserver|kube-scheduler|kube-controller"
    backend.nodes.freeze("gpu", "gpu-control-plane", "control-plane")
    backend.nodes.thaw("gpu", "gpu-control-plane", "control-plane")
    assert machine.lines("docker")[-2:] == [
        f"exec gpu-control-plane pkill -STOP -x {programs}",
        f"exec gpu-control-plane pkill -CONT -x {programs}",
    ]
    assert state(machine, "gpu-control-plane") == "running"


def test_a_container_is_killed_by_its_id_on_the_node_of_its_pod(machine: Machine) -> None:
    kind().up(Quiet())
    kind().nodes.kill_container("gpu", POD, "linkerd-proxy")
    assert machine.lines("docker")[-1] == "exec gpu-worker crictl stop --timeout 0 abc"


@pytest.mark.parametrize(
    ("backend", "action", "reason"),
    [
        (kind, "freeze-control-plane", None),
        (kind, "shape-link", None),
        (k3d, "freeze", None),
        (k3d, "kill-container", None),
        (k3d, "freeze-control-plane", "k3s is one process"),
        (k3d, "shape-link", "lacks tc(8)"),
    ],
)
def test_what_the_nodes_of_a_tool_cannot_do_has_a_reason(
    backend: Callable[[], DockerBackend], action: Any, reason: str | None
) -> None:
    found = backend().nodes.unsupported_reason(action, "gpu")
    assert found is None if reason is None else reason in str(found)


def test_a_shaped_link_delays_packets_to_the_other_cluster_on_both_sides(machine: Machine) -> None:
    kind().up(Quiet())
    kind().nodes.shape_link("gpu", LinkConditions(latency_ms=400))
    gpu = {row["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] for row in containers(machine, "gpu-")}
    app = {row["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] for row in containers(machine, "app-")}
    for name, commands in links(machine).items():
        assert commands[1].endswith("netem delay 200ms")
        peers = {command.split(" dst ")[1].split("/")[0] for command in commands[2:]}
        assert peers == (gpu if name.startswith("app-") else app)
    assert len(links(machine)) == 6
    kind().nodes.shape_link("gpu", CLEAR)
    assert set(map(tuple, links(machine).values())) == {()} and not link_conditions.path().exists()


def containers(machine: Machine, prefix: str) -> list[dict[str, Any]]:
    return [row for name, row in machine.read()["containers"].items() if name.startswith(prefix)]


def test_an_asymmetric_fault_is_on_one_side_only(machine: Machine) -> None:
    kind().up(Quiet())
    kind().nodes.shape_link("gpu", LinkConditions(lost=("answers",)))
    shaped = {name for name, commands in links(machine).items() if commands}
    assert shaped == {"gpu-control-plane", "gpu-worker", "gpu-worker2"}
    assert "netem loss 100%" in links(machine)["gpu-worker"][1]


def test_a_node_that_was_paused_meanwhile_agrees_once_it_is_thawed(machine: Machine) -> None:
    backend = kind()
    backend.up(Quiet())
    backend.nodes.freeze("gpu", "gpu-worker")
    backend.nodes.shape_link("gpu", LinkConditions(loss_percent=5))
    assert "gpu-worker" not in links(machine)
    backend.nodes.thaw("gpu", "gpu-worker")
    assert "netem loss 5%" in links(machine)["gpu-worker"][1]


def test_two_shaped_links_have_a_band_each() -> None:
    queue, *commands = traffic_control([Shape(("delay", "200ms"), ("172.18.0.5",)), Shape(("loss", "5%"), ("172.18.0.6",))])
    assert queue == ["tc", "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "prio", "bands", "5"]
    assert [" ".join(words[5:]) for words in commands] == [
        "parent 1:4 handle 40: netem delay 200ms",
        "parent 1:0 protocol ip u32 match ip dst 172.18.0.5/32 flowid 1:4",
        "parent 1:5 handle 50: netem loss 5%",
        "parent 1:0 protocol ip u32 match ip dst 172.18.0.6/32 flowid 1:5",
    ]


def test_a_kernel_that_cannot_delay_packets_is_named_and_nothing_is_recorded(machine: Machine) -> None:
    kind().up(Quiet())
    machine.write(mode={"no-netem": True})
    with pytest.raises(errors.MachineError) as caught:
        kind().nodes.shape_link("gpu", LinkConditions(latency_ms=5))
    assert "sudo modprobe -a sch_prio sch_netem cls_u32" in caught.value.fix
    assert link_conditions.read("gpu") == CLEAR


def test_other_complaints_of_docker_are_passed_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    kind().up(Quiet())
    machine.write(mode={"fail": ["docker exec app-worker "], "says": "Error response from daemon: no such container"})
    with pytest.raises(errors.CommandFailed, match="no such container"):
        docker_links.apply(kind().containers.own_nodes())
