"""kind and k3d against recorded tools: what lab up makes and keeps, and what is refused."""

from __future__ import annotations

import stat

import pytest
import yaml

from labs import config, errors
from labs.clusters.docker.backend import DockerBackend, kind
from labs.clusters.docker.engine import docker
from labs.paths import Paths
from tests.unit.clusters.fake_machine import NODES, Machine, Quiet


def test_up_makes_both_clusters_and_what_every_backend_gives(machine: Machine, backend: DockerBackend) -> None:
    progress = Quiet()
    backend.up(progress)
    assert machine.containers() == NODES[backend.name]
    assert yaml.safe_load(Paths.current().kubeconfig.read_text())["current-context"] == "app"
    found = yaml.safe_load(Paths.current().kubeconfig.read_text())
    assert [(row["name"], row["context"]) for row in found["contexts"]] == [
        ("app", {"cluster": "app", "user": "app"}),
        ("gpu", {"cluster": "gpu", "user": "gpu"}),
    ]
    assert [row["cluster"]["certificate-authority-data"] for row in found["clusters"]] == ["app", "gpu"]
    assert stat.S_IMODE(Paths.current().kubeconfig.stat().st_mode) == 0o600
    assert (Paths.current().state / "manifests" / "prometheus-gpu" / "kustomization.yaml").exists()
    assert progress.titles[2:7] == [
        "Docker network",
        "Clusters app and gpu",
        "Nodes",
        "Images in the nodes",
        "Routes between the clusters",
    ]


def test_the_network_carries_the_checkout_and_dockers_mtu(machine: Machine) -> None:
    kind().up(Quiet())
    labels = machine.read()["networks"]["boring-ops-lab"]["labels"]
    assert labels == {"app.kubernetes.io/part-of": "boring-ops-lab", "boring-ops-lab/checkout": str(config.ROOT)}
    assert "com.docker.network.driver.mtu=1450" in " ".join(machine.lines("docker"))


def test_every_node_gets_a_route_to_each_node_of_the_other_cluster(machine: Machine) -> None:
    backend = kind()
    backend.up(Quiet())
    routes = machine.read()["routes"]
    assert len(routes) == 2 * 3 * 3
    on_app = sorted({pods for node, pods, _ in routes if "app-" in node})
    assert on_app == ["10.20.0.0/24", "10.20.1.0/24", "10.20.2.0/24"]
    first = machine.read()["containers"][NODES[backend.name][3]]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]
    assert first in {via for _, _, via in routes}


def test_only_kind_gets_the_labs_load_balancer(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    expected = {"kind": [["app", "load-balancer"], ["gpu", "load-balancer"]], "k3d": []}
    assert machine.read()["applied"] == expected[backend.name]


def test_up_twice_makes_nothing_twice(machine: Machine) -> None:
    backend = kind()
    backend.up(Quiet())
    before = machine.read()["containers"]
    backend.up(Quiet())
    assert machine.read()["containers"] == before
    assert len([line for line in machine.lines(backend.name) if "create" in line]) == 2


def test_stop_and_up_keep_the_nodes(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    backend.stop()
    with pytest.raises(errors.NotRunning):
        backend.status()
    assert machine.containers() == NODES[backend.name]
    backend.up(Quiet())
    assert {row["state"] for row in backend.status()["children"]} == {"running"}
    assert len([line for line in machine.lines(backend.name) if "create" in line]) == 2


def test_kinds_nodes_are_started_in_the_order_of_their_addresses(machine: Machine) -> None:
    kind().up(Quiet())
    rows = machine.read()["containers"]
    # Both clusters were made side by side: their addresses alternate.
    for number, name in enumerate(reversed(NODES["kind"])):
        rows[name]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] = f"172.18.0.{number + 8}"
    machine.write(containers=rows)
    kind().up(Quiet())
    kind().stop()
    kind().up(Quiet())
    started = [line.split()[-1] for line in machine.lines("docker") if line.startswith("container start")]
    assert started == list(reversed(NODES["kind"]))


def test_other_addresses_than_before_are_told_once(machine: Machine, backend: DockerBackend) -> None:
    progress = Quiet()
    backend.up(progress)
    backend.up(progress)
    assert progress.failures == []
    rows = machine.read()["containers"]
    rows[NODES[backend.name][4]]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] = "172.18.0.99"
    machine.write(containers=rows)
    backend.up(progress)
    backend.up(progress)
    assert len(progress.failures) == 1 and "notebook 05" in progress.failures[0]


def test_status_has_a_row_per_node(machine: Machine) -> None:
    kind().up(Quiet())
    docker("container", "stop", "gpu-worker2")
    rows = {row["name"]: row for row in kind().status()["children"]}
    assert rows["gpu/gpu-worker2"] | {"restarts": 0} == {
        "name": "gpu/gpu-worker2",
        "state": "exited",
        "pid": None,
        "restarts": 0,
        "last_exit": "exit code 137",
    }
    assert rows["app/app-worker"]["last_exit"] is None


def test_pods_of_the_other_cluster_reach_the_control_plane_by_its_address(machine: Machine, backend: DockerBackend) -> None:
    with pytest.raises(errors.NotRunning):
        backend.api_server("gpu")
    backend.up(Quiet())
    container = next(name for name in NODES[backend.name] if "gpu" in name and ("control" in name or "server" in name))
    address = machine.read()["containers"][container]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]
    assert backend.api_server("gpu") == f"https://{address}:6443"


def test_a_network_of_our_name_without_label_is_refused(machine: Machine) -> None:
    machine.write(networks={"boring-ops-lab": {"labels": {}}})
    with pytest.raises(errors.NameTaken, match="network boring-ops-lab exists"):
        kind().up(Quiet())
