"""The configuration files of kind and k3d: as the topology says, and accepted by the tools themselves where they are there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs import config, topology
from labs.clusters import programs
from labs.clusters.docker.engine import NETWORK
from labs.topology import ClusterSpec

CLUSTERS = [pytest.param(spec, id=spec.name) for spec in topology.declared()]
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def load(tool: str, cluster: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((config.CLUSTERS / tool / f"{cluster}.yaml").read_text())
    return found


def gpu_labels(spec: ClusterSpec) -> list[dict[str, str] | None]:
    """The labels of each worker as the topology wants them; None for one without GPUs."""
    return [
        {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": gpu.product, "nvidia.com/gpu.count": str(gpu.count)}
        if (gpu := node.gpu)
        else None
        for node in spec.nodes
        if not node.control_plane
    ]


@pytest.mark.parametrize("spec", CLUSTERS)
def test_kind_has_the_topologys_ranges_and_nodes(spec: ClusterSpec) -> None:
    found = load("kind", spec.name)
    assert found["name"] == spec.name
    assert found["networking"] == {
        "apiServerAddress": "127.0.0.1",
        "podSubnet": str(spec.pod_range),
        "serviceSubnet": str(spec.service_range),
    }
    assert [node["role"] for node in found["nodes"]] == ["control-plane" if n.control_plane else "worker" for n in spec.nodes]
    assert [node.get("labels") for node in found["nodes"][1:]] == gpu_labels(spec)
    assert len({node["image"] for node in found["nodes"]}) == 1 and "@sha256:" in found["nodes"][0]["image"]


@pytest.mark.parametrize("spec", CLUSTERS)
def test_kind_taints_gpu_workers_and_frees_a_schedulable_control_plane(spec: ClusterSpec) -> None:
    found = load("kind", spec.name)
    everywhere = [yaml.safe_load(patch) for patch in found["kubeadmConfigPatches"]]
    registration = [patch["nodeRegistration"] for patch in everywhere if patch["kind"] == "InitConfiguration"]
    assert registration == ([{"taints": []}] if spec.nodes[0].schedulable else [])
    for node, wanted in zip(found["nodes"][1:], gpu_labels(spec), strict=True):
        patches = [yaml.safe_load(patch) for patch in node.get("kubeadmConfigPatches", [])]
        expected = [{"kind": "JoinConfiguration", "nodeRegistration": {"taints": [TAINT]}}] if wanted else []
        assert patches == expected


@pytest.mark.parametrize("spec", CLUSTERS)
def test_k3d_has_the_topologys_ranges_and_nodes(spec: ClusterSpec) -> None:
    found = load("k3d", spec.name)
    workers = [node for node in spec.nodes if not node.control_plane]
    assert (found["metadata"]["name"], found["servers"], found["agents"]) == (spec.name, 1, len(workers))
    assert found["network"] == NETWORK
    arguments = {row["arg"]: row["nodeFilters"] for row in found["options"]["k3s"]["extraArgs"]}
    assert arguments[f"--cluster-cidr={spec.pod_range}"] == arguments[f"--service-cidr={spec.service_range}"] == ["server:*"]
    assert arguments[f"--cluster-dns={spec.service_range[10]}"] == ["server:*"]
    assert ("--node-taint=node-role.kubernetes.io/control-plane:NoSchedule" in arguments) != spec.nodes[0].schedulable
    labels = dict(row["label"].split("=") for row in found["options"]["k3s"].get("nodeLabels", []))
    assert [labels or None] * len(workers) == gpu_labels(spec)
    assert ("--node-taint=nvidia.com/gpu=present:NoSchedule" in arguments) == bool(labels)


def test_every_cluster_of_the_topology_has_a_file_and_no_other() -> None:
    names = sorted(spec.name for spec in topology.declared())
    for tool in ("kind", "k3d"):
        assert sorted(path.stem for path in (config.CLUSTERS / tool).glob("*.yaml")) == names


def test_both_tools_keep_the_api_server_on_the_loopback() -> None:
    for spec in topology.declared():
        assert load("kind", spec.name)["networking"]["apiServerAddress"] == "127.0.0.1"
        assert load("k3d", spec.name)["kubeAPI"]["hostIP"] == "127.0.0.1"


# The tools' own opinion. No engine answers at the address given, so a configuration that is accepted fails on that and on nothing
# earlier; one that is not accepted fails on its words before the engine is asked.


@pytest.fixture
def tool(request: pytest.FixtureRequest) -> str:
    path = programs.find(request.param)
    if path is None:
        pytest.skip(f"there is no {request.param} on this machine: lab tools {request.param}")
    return path


def ask(command: list[str], tmp_path: Path) -> str:
    nobody = {"DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock", "KUBECONFIG": str(tmp_path / "kubeconfig")}
    done = subprocess.run(command, env=os.environ | nobody, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def create(path: str, configuration: Path) -> list[str]:
    if Path(path).name.startswith("kind"):
        return [path, "create", "cluster", "--name", "never", "--config", str(configuration), "--wait=1s"]
    return [path, "cluster", "create", "never", "--config", str(configuration)]


@pytest.mark.parametrize("tool", ["kind", "k3d"], indirect=True)
@pytest.mark.parametrize("cluster", ["app", "gpu"])
def test_the_tool_accepts_the_configuration(tool: str, cluster: str, tmp_path: Path) -> None:
    name = "kind" if Path(tool).name.startswith("kind") else "k3d"
    said = ask(create(tool, config.CLUSTERS / name / f"{cluster}.yaml"), tmp_path)
    assert "no-engine.sock" in said
    assert "unable to decode config" not in said and "Schema Validation failed" not in said


@pytest.mark.parametrize("tool", ["kind", "k3d"], indirect=True)
def test_the_tool_refuses_a_word_it_does_not_know(tool: str, tmp_path: Path) -> None:
    name = "kind" if Path(tool).name.startswith("kind") else "k3d"
    broken = tmp_path / "broken.yaml"
    broken.write_text((config.CLUSTERS / name / "app.yaml").read_text() + "\nnoSuchField: 1\n")
    said = ask(create(tool, broken), tmp_path)
    assert "noSuchField" in said and "no-engine.sock" not in said
