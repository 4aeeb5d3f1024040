"""What kind and k3d leave behind after a failure, an interruption, and lab down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labs import config, errors
from labs.clusters.docker.backend import DockerBackend, k3d, kind
from labs.clusters.docker.engine import CHECKOUT, NETWORK
from labs.paths import Paths
from tests.unit.clusters.fake_machine import NODES, Machine, Quiet, foreign


def test_down_removes_all_that_up_made_and_nothing_else(machine: Machine, backend: DockerBackend) -> None:
    machine.write(networks={"theirs": {"labels": {}}})
    foreign(machine, backend, "dev", "theirs")
    backend.up(Quiet())
    backend.down()
    assert all("-dev-" in name or name.startswith("dev-") for name in machine.containers())
    assert len(machine.containers()) == 3
    assert list(machine.read()["networks"]) == ["theirs"]
    assert not Paths.current().state.exists()
    backend.down()


def test_a_cluster_of_our_name_that_is_not_ours_is_never_touched(machine: Machine, backend: DockerBackend) -> None:
    foreign(machine, backend, "gpu", "kind")
    before = machine.read()["containers"]
    with pytest.raises(
        errors.NameTaken, match=f"a {backend.name} cluster named gpu exists that this lab did not create"
    ) as caught:
        backend.up(Quiet())
    assert "delete" in caught.value.fix and "gpu" in caught.value.fix
    backend.down()
    assert machine.read()["containers"] == before
    assert not any("delete" in line or "create" in line for line in machine.lines(backend.name))


def test_another_checkouts_lab_is_left_alone(machine: Machine) -> None:
    backend = kind()
    machine.write(networks={"boring-ops-lab": {"labels": {"boring-ops-lab/checkout": "/home/ada/lab"}}})
    foreign(machine, backend, "app", "boring-ops-lab")
    actions: list[Callable[[], object]] = [lambda: backend.up(Quiet()), backend.stop, backend.down]
    for action in actions:
        with pytest.raises(errors.OtherLabRunning, match="/home/ada/lab"):
            action()
    assert len(machine.containers()) == 3
    with pytest.raises(errors.NotRunning):
        backend.status()


def test_a_network_inside_the_pods_ranges_is_refused_and_removed(machine: Machine) -> None:
    machine.write(subnet="10.21.8.0/24")
    with pytest.raises(errors.MachineError, match=r"10\.21\.8\.0/24, which overlaps 10\.21\.0\.0/16 of cluster gpu"):
        kind().up(Quiet())
    assert machine.read()["networks"] == {}


def test_a_failed_creation_leaves_nothing_unless_asked_to(machine: Machine) -> None:
    backend = kind()
    gpu = config.CLUSTERS / "k3d" / "gpu.yaml"
    machine.write(mode={"fail": ["kind create cluster --name gpu", f"k3d cluster create --config {gpu}"]})
    with pytest.raises(errors.StepFailed, match="boom"):
        backend.up(Quiet(), keep=True)
    assert machine.containers() == NODES[backend.name][:3]
    with pytest.raises(errors.StepFailed):
        backend.up(Quiet())
    assert machine.containers() == [] and machine.read()["networks"] == {} and not Paths.current().state.exists()


class Interrupted(Quiet):
    """Ctrl-C at the beginning of a step."""

    def begin(self, title: str) -> None:
        if title == "Nodes":
            raise KeyboardInterrupt


def test_ctrl_c_after_the_creation_removes_what_was_made(machine: Machine) -> None:
    with pytest.raises(KeyboardInterrupt):
        kind().up(Interrupted())
    assert any("create cluster" in line for line in machine.lines("kind"))
    assert machine.containers() == [] and machine.read()["networks"] == {} and not Paths.current().state.exists()


def test_tools_that_never_end_are_ended_and_what_they_made_is_removed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write(mode={"hang": ["kind create"]})
    monkeypatch.setattr("labs.clusters.docker.backend.CREATE_TIMEOUT", 15.0)
    with pytest.raises(errors.TimedOut, match="kind create cluster"):
        kind().up(Quiet())
    assert machine.containers() == [] and machine.read()["networks"] == {}


@pytest.fixture
def pulling(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """k3d waits for the nodes' image until the lab's patience ends; its helper runs already."""
    machine.write(mode={"pulling": True, "hang": ["k3d cluster create"]})
    monkeypatch.setattr("labs.clusters.docker.backend.CREATE_TIMEOUT", 15.0)
    return machine


def test_k3ds_helper_and_volumes_go_where_no_node_came_to_be(pulling: Machine) -> None:
    with pytest.raises(errors.TimedOut, match="k3d cluster create"):
        k3d().up(Quiet())
    assert (pulling.containers(), pulling.read()["networks"], pulling.read()["volumes"]) == ([], {}, {})


def test_k3ds_helper_is_no_cluster_for_the_next_up(pulling: Machine) -> None:
    with pytest.raises(errors.TimedOut):
        k3d().up(Quiet(), keep=True)
    assert pulling.containers() == ["k3d-app-tools", "k3d-gpu-tools"]
    pulling.write(mode={})
    k3d().up(Quiet())
    assert pulling.containers() == NODES["k3d"]


def test_a_volume_without_a_cluster_goes_and_one_of_a_foreign_cluster_stays(machine: Machine) -> None:
    backend = k3d()
    machine.write(networks={NETWORK: {"labels": {CHECKOUT: str(config.ROOT)}}})
    machine.write(volumes={"k3d-app-images": "app", "k3d-gpu-images": "gpu", "k3d-dev-images": "dev"})
    foreign(machine, backend, "gpu", "theirs")
    backend.down()
    assert machine.read()["volumes"] == {"k3d-gpu-images": "gpu", "k3d-dev-images": "dev"}


def test_what_a_killed_up_left_is_recreated_or_removed(machine: Machine) -> None:
    backend = kind()
    backend.up(Quiet())
    # Killed between the creation of the containers and the kubeconfig: nothing says that they are complete.
    Paths.current().kubeconfig.unlink()
    backend.up(Quiet())
    assert machine.containers() == NODES[backend.name] and Paths.current().kubeconfig.exists()
    assert len([line for line in machine.lines(backend.name) if "delete" in line]) == 2
    Paths.current().kubeconfig.unlink()
    backend.down()
    assert machine.containers() == [] and machine.read()["networks"] == {}


def test_a_failure_while_the_lab_runs_takes_nothing_down(machine: Machine) -> None:
    kind().up(Quiet())
    machine.write(mode={"fail": ["kubectl --kubeconfig"], "says": "error: boom"})
    with pytest.raises(errors.TimedOut):
        kind().up(Quiet(), timeout=0.1)
    assert machine.containers() == NODES["kind"] and Paths.current().kubeconfig.exists()
