"""kind and k3d for real: `./scripts/test --docker`. Without an engine or the tool, each test is reported as skipped."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from labs import config, errors, topology
from labs.clusters import images, programs
from labs.clusters.base import Cluster
from labs.clusters.docker import engine as docker
from labs.paths import Paths

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


def lab(*words: str, timeout: float = 2400) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "labs.cli", *words], cwd=config.ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["kind", "k3d"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The lab on one of the backends, taken down afterwards."""
    try:
        docker.require_engine()
        programs.require(request.param)
    except errors.LabError as error:
        pytest.skip(error.message)
    if Paths.current().kubeconfig.exists():
        pytest.skip("a lab is up in this checkout")
    lab("up", "--backend", request.param)
    yield request.param
    lab("down")
    assert docker.network_checkout() is None and not Paths.current().state.exists()


def pods(cluster: str, *words: str) -> str:
    return Cluster(cluster).kubectl(*words, timeout=300)


def test_every_node_is_ready_and_gpu_workers_are_marked(backend: str) -> None:
    for spec in topology.defaults():
        items = json.loads(pods(spec.name, "get", "nodes", "--output=json"))["items"]
        assert len(items) == len(spec.nodes)
        ready = [row["status"] for item in items for row in item["status"]["conditions"] if row["type"] == "Ready"]
        assert ready == ["True"] * len(items)
        tainted = [item for item in items if any(t["key"] == "nvidia.com/gpu" for t in item["spec"].get("taints", []))]
        assert len(tainted) == len([node for node in spec.nodes if node.gpu])
        assert all(item["metadata"]["labels"]["nvidia.com/gpu.count"] == "4" for item in tainted)


def test_up_again_changes_nothing(backend: str) -> None:
    before = json.loads(lab("status", "--json"))["children"]
    lab("up")
    assert json.loads(lab("status", "--json"))["children"] == before


def test_gpus_are_offered_and_the_model_server_gets_two(backend: str) -> None:
    for workload in ("gpu-simulator", "model-server"):
        Cluster("gpu").apply(f"clusters/manifests/{workload}")
    pods("gpu", "--namespace=gpu-system", "rollout", "status", "daemonset/gpu-simulator", "--timeout=240s")
    pods("gpu", "--namespace=ml", "rollout", "status", "deployment/model-server", "--timeout=240s")


def test_a_service_can_be_opened_from_this_machine(backend: str) -> None:
    Cluster("gpu").apply(".lab/manifests/prometheus-gpu")
    pods("gpu", "--namespace=monitoring", "rollout", "status", "deployment/prometheus", "--timeout=240s")
    address = lab("url", "monitoring/prometheus", "--cluster", "gpu").strip()
    with urllib.request.urlopen(f"{address}/-/ready", timeout=20) as answer:
        assert answer.status == 200


PROBE = "import urllib.request as u; print(u.urlopen('{url}', timeout=20).status)"


def ask_from_app(name: str, url: str) -> str:
    """The status that a pod of cluster app gets from ``url``."""
    try:
        command = ["--restart=Never", f"--image={images.LAB_IMAGE}", "--command", "--", "python", "-c", PROBE.format(url=url)]
        pods("app", "run", name, *command)
        pods("app", "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=120s")
        return pods("app", "logs", name).strip()
    finally:
        pods("app", "delete", "pod", name, "--wait=false")


def test_a_pod_of_one_cluster_reaches_a_pod_of_the_other(backend: str) -> None:
    found = json.loads(pods("gpu", "--namespace=gpu-system", "get", "pods", "--output=json"))["items"][0]
    assert ask_from_app("flat", f"http://{found['status']['podIP']}:9400/metrics") == "200"


def test_a_load_balancer_gets_an_address_that_the_other_cluster_reaches(backend: str) -> None:
    pods("gpu", "--namespace=ml", "expose", "deployment/model-server", "--name=outside", "--type=LoadBalancer", "--port=8000")
    ingress = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    pods("gpu", "--namespace=ml", "wait", f"--for={ingress}", "service/outside", "--timeout=60s")
    address = pods("gpu", "--namespace=ml", "get", "service/outside", f"--output={ingress}")
    assert ask_from_app("outside", f"http://{address}:8000/health") == "200"


def test_state_survives_stop_and_up(backend: str) -> None:
    pods("app", "create", "configmap", "kept")
    lab("stop")
    lab("up")
    assert "kept" in pods("app", "get", "configmap", "kept", "--output=name")


def test_the_image_is_small_and_runs_as_nobody_without_writing(backend: str) -> None:
    found = json.loads(docker.docker("image", "inspect", images.LAB_IMAGE))[0]
    assert found["Size"] <= 250_000_000
    assert found["Config"]["User"] == "65532:65532"
    said = docker.docker("run", "--rm", "--read-only", "--cap-drop=ALL", images.LAB_IMAGE, "chat", "--help")
    assert "--model" in said
