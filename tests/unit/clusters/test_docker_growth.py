"""Clusters and nodes that join and leave a running lab on kind and k3d."""

from __future__ import annotations

import pytest
import yaml

from labs import errors, record
from labs.clusters import kubeconfig
from labs.clusters.docker.backend import DockerBackend, k3d, kind
from labs.clusters.nodes import Node, NodeRequest
from labs.link_conditions import LinkConditions, read
from labs.paths import Paths
from labs.topology import GpuSpec
from tests.unit.clusters.fake_machine import NODES, Machine, Quiet

EU = {"kind": ["gpu-eu-control-plane", "gpu-eu-worker"], "k3d": ["k3d-gpu-eu-agent-0", "k3d-gpu-eu-server-0"]}


def test_a_third_cluster_joins_and_leaves_and_the_others_stay(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    before = machine.read()["containers"]
    progress = Quiet()
    backend.up(progress, clusters=["gpu-eu"])
    assert "Clusters gpu-eu" in progress.titles
    assert machine.containers() == sorted([*NODES[backend.name], *EU[backend.name]])
    assert {name: row for name, row in machine.read()["containers"].items() if name in before} == before
    assert list(backend.clusters()) == ["app", "gpu", "gpu-eu"] and kubeconfig.contexts() == {"app", "gpu", "gpu-eu"}
    assert "10.30.0.0/24" in {pods for node, pods, _ in machine.read()["routes"] if node in NODES[backend.name]}
    assert (Paths.current().manifests / "prometheus-gpu-eu").exists()

    backend.up(Quiet())
    assert list(backend.clusters()) == ["app", "gpu", "gpu-eu"], "a plain up keeps what was added"

    backend.down(["gpu-eu"])
    assert machine.containers() == NODES[backend.name] and machine.read()["containers"] == before
    assert list(backend.clusters()) == ["app", "gpu"] and kubeconfig.contexts() == {"app", "gpu"}
    assert not (Paths.current().manifests / "prometheus-gpu-eu").exists()
    assert list(machine.read()["networks"]) == ["boring-ops-lab"]


def test_a_cluster_that_cannot_be_made_is_forgotten_and_the_lab_stays(machine: Machine) -> None:
    kind().up(Quiet())
    machine.write(mode={"fail": ["kind create cluster --name gpu-eu"]})
    with pytest.raises(errors.StepFailed, match="boom"):
        kind().up(Quiet(), clusters=["gpu-eu"])
    assert machine.containers() == NODES["kind"] and record.require().clusters == ("app", "gpu")
    assert kubeconfig.contexts() == {"app", "gpu"}


@pytest.mark.parametrize(
    ("name", "linked", "error", "said"),
    [
        ("gpu-eu", {"app": ["gpu", "gpu-eu"]}, errors.UsageError, "cluster app is linked to gpu-eu"),
        ("gpu", {}, errors.UsageError, "cluster gpu is part of every lab"),
        ("gpu-us", {}, errors.NotFound, "there are: app, gpu, gpu-eu"),
    ],
)
def test_a_cluster_that_is_needed_stays(
    machine: Machine, name: str, linked: dict[str, list[str]], error: type[errors.LabError], said: str
) -> None:
    kind().up(Quiet(), clusters=["gpu-eu"])
    machine.write(linked=linked)
    before = machine.containers()
    with pytest.raises(error, match=said) as caught:
        kind().down([name])
    assert machine.containers() == before and record.require().clusters == ("app", "gpu", "gpu-eu")
    assert not linked or "multicluster unlink --cluster-name gpu-eu" in caught.value.fix


def test_a_cluster_leaves_only_a_lab_that_runs(machine: Machine) -> None:
    kind().up(Quiet(), clusters=["gpu-eu"])
    kind().stop()
    with pytest.raises(errors.NotRunning):
        kind().down(["gpu-eu"])


def test_conditions_on_a_link_end_with_its_cluster(machine: Machine) -> None:
    kind().up(Quiet(), clusters=["gpu-eu"])
    kind().nodes.shape_link("gpu-eu", LinkConditions(latency_ms=100))
    assert any("netem" in line for line in machine.read()["links"]["app-worker"])
    kind().down(["gpu-eu"])
    assert read("gpu-eu") == LinkConditions() and machine.read()["links"]["app-worker"] == []


def test_a_worker_joins_a_cluster_of_kinds_with_kubeadm(machine: Machine) -> None:
    kind().up(Quiet())
    name = kind().nodes.add("gpu", NodeRequest(gpu=GpuSpec("NVIDIA-L40S", 2), labels={"pool": "spot"}), Quiet())
    assert name == "gpu-worker3" and Node("gpu-worker3", False) in kind().nodes.list("gpu")
    joined = yaml.safe_load(machine.read()["joined"][name])
    registration = joined["nodeRegistration"]
    arguments = {row["name"]: row["value"] for row in registration["kubeletExtraArgs"]}
    address = machine.read()["containers"][name]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]
    assert arguments["node-ip"] == address and arguments["provider-id"] == "kind://docker/gpu/gpu-worker3"
    assert {"pool=spot", "nvidia.com/gpu.product=NVIDIA-L40S", "nvidia.com/gpu.count=2"} <= {*arguments["node-labels"].split(",")}
    assert registration["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert joined["discovery"]["bootstrapToken"]["apiServerEndpoint"] == "gpu-control-plane:6443"
    (made,) = [line for line in machine.lines("docker") if line.startswith("run ")]
    assert "-e HTTPS_PROXY=http://proxy:3128" in made and "container=docker" not in made and "--cgroupns=private" in made
    assert [name for name, _ in machine.read()["loaded"][6:]] != [], "the new node gets the images"
    assert [node.name for node in record.require().nodes["gpu"]] == [name]


def test_a_worker_joins_a_cluster_of_k3ds_under_k3ds_name(machine: Machine) -> None:
    k3d().up(Quiet())
    name = k3d().nodes.add("gpu", NodeRequest("extra"), Quiet())
    assert name == "k3d-extra-0" and name in machine.containers()
    said = machine.lines("kubectl")
    assert any(f"label node {name} --overwrite nvidia.com/gpu.present- " in line for line in said), "k3d copies an agent"
    assert any(f"taint node {name} nvidia.com/gpu-" in line for line in said)


def test_a_worker_that_does_not_join_leaves_nothing(machine: Machine) -> None:
    kind().up(Quiet())
    machine.write(mode={"no-join": True})
    with pytest.raises(errors.CommandFailed, match="kubelet-start"):
        kind().nodes.add("app", NodeRequest(), Quiet())
    assert machine.containers() == NODES["kind"] and not record.require().nodes.get("app")


def test_an_added_worker_is_drained_and_goes(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    name = backend.nodes.add("app", NodeRequest(), Quiet())
    backend.nodes.remove("app", name, Quiet())
    assert machine.containers() == NODES[backend.name] and not record.require().nodes.get("app")
    said = machine.lines("kubectl")
    drained = next(number for number, line in enumerate(said) if f"drain {name}" in line)
    assert any(f"delete node {name}" in line for line in said[drained:])


def test_a_worker_whose_pods_do_not_end_stays_and_takes_pods_again(machine: Machine) -> None:
    kind().up(Quiet())
    name = kind().nodes.add("app", NodeRequest(), Quiet())
    machine.write(mode={"no-drain": True})
    with pytest.raises(errors.CommandFailed, match="global timeout"):
        kind().nodes.remove("app", name, Quiet())
    assert name in machine.containers() and any(line.endswith(f"uncordon {name}") for line in machine.lines("kubectl"))


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("app-worker", errors.UsageError, "only nodes that were added"), ("app-worker9", errors.NotFound, "app-worker2")],
)
def test_nodes_of_the_topology_stay(machine: Machine, name: str, error: type[errors.LabError], said: str) -> None:
    kind().up(Quiet())
    with pytest.raises(error, match=said):
        kind().nodes.remove("app", name, Quiet())
    assert machine.containers() == NODES["kind"]


@pytest.mark.parametrize(("name", "said"), [("gpu-worker", "exists already"), ("Big_Node", "lower-case letters")])
def test_a_name_that_will_not_do(machine: Machine, name: str, said: str) -> None:
    kind().up(Quiet())
    with pytest.raises(errors.UsageError, match=said):
        kind().nodes.add("app", NodeRequest(name), Quiet())
    assert machine.containers() == NODES["kind"]
