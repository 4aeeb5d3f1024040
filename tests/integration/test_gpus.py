"""GPUs end to end: the real scheduler, the node agent (or a kubelet), the device plugin, a pod that uses a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labs import config, topology
from labs.paths import Paths
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

Kubectl = Callable[..., str]

NAMESPACE = "gpu-system"
LABEL = "app.kubernetes.io/name=gpu-simulator"
NODES = [node for cluster in topology.defaults() if cluster.name == "gpu" for node in cluster.nodes if node.gpu]
TOTAL = sum(node.gpu.count for node in NODES if node.gpu)
LAST = NODES[-1].name
"""The node whose GPUs are broken."""
TEST = "test-gpus"
"""Namespace of the pods these tests make."""

WORK = """
import asyncio, aiohttp, json, os
socket = os.path.realpath(os.environ["GPU_SIMULATOR_SOCKET"])
uuid = os.environ["NVIDIA_VISIBLE_DEVICES"]
work = {"pod": "worker", "prefill_tokens": 100, "decode_tokens": 8, "weights_bytes": 16 * 10**9, "kv_cache_bytes": 10**9,
        "running": 4, "seconds": 0.1}
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as http:
        while True:
            async with http.post(f"http://gpu/v1/gpus/{uuid}/work", json=work) as response:
                print(json.dumps(await response.json()), flush=True)
            await asyncio.sleep(0.1)
asyncio.run(main())
"""
"""Uses the container's GPU without end and prints each answer of the work socket."""
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done")
SCRAPE = """
import os, urllib.request
address = os.environ.get("BIND_ADDRESS", "127.0.0.1")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(f"http://{address}:9400/metrics").read().decode())
"""


def becomes(look: Callable[[], Any], expected: Any) -> None:
    """``look()`` finds what is expected before a minute is over."""
    eventually(look, 60, holds=lambda found: bool(found == expected))


class GpuCluster:
    """What these tests ask of the cluster ``gpu``, by kubectl alone."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.run = kubectl

    def get(self, *words: str) -> Any:
        return json.loads(self.run("gpu", "get", *words, "-o", "json"))

    def gpus(self, field: str) -> dict[str, str]:
        """``capacity`` or ``allocatable`` of each GPU node."""
        return {node.name: self.get("node", node.name)["status"][field].get("nvidia.com/gpu", "0") for node in NODES}

    def free(self) -> int:
        """GPUs that no pod holds."""
        pods = [pod for pod in self.get("pods", "-A")["items"] if pod["status"]["phase"] in ("Pending", "Running")]
        held = [
            int(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0))
            for pod in pods
            if pod["spec"].get("nodeName")
            for container in pod["spec"]["containers"]
        ]
        return TOTAL - sum(held)

    def simulator(self, node: str) -> str:
        """The simulator's pod on ``node``."""
        (pod,) = self.simulators(node)
        name: str = pod["metadata"]["name"]
        return name

    def simulators(self, node: str) -> Any:
        """One pod, but while it is replaced none or two."""
        return self.get("pods", "-n", NAMESPACE, "-l", LABEL, "--field-selector", f"spec.nodeName={node}")["items"]

    def ctl(self, node: str, *words: str) -> Any:
        command = (
            "exec",
            "-n",
            NAMESPACE,
            self.simulator(node),
            "--",
            "python",
            "-m",
            "labs.pods",
            "gpu-simulator",
            "ctl",
            *words,
        )
        return json.loads(self.run("gpu", *command))

    def metrics(self, node: str) -> str:
        return self.run("gpu", "exec", "-n", NAMESPACE, self.simulator(node), "--", "python", "-c", SCRAPE)

    def restart(self, node: str) -> None:
        """Replace the simulator's pod of ``node``; the DaemonSet's own status would still speak of the old one."""
        self.run("gpu", "delete", "pod", "-n", NAMESPACE, self.simulator(node), "--timeout=30s")
        becomes(lambda: [pod["status"].get("phase") for pod in self.simulators(node)], ["Running"])
        self.run("gpu", "wait", "-n", NAMESPACE, f"pod/{self.simulator(node)}", "--for=condition=Ready", "--timeout=60s")

    def start(
        self, name: str, node: str | None = None, command: tuple[str, ...] = SLEEP, resource: str = "nvidia.com/gpu"
    ) -> None:
        """A pod that holds one GPU, or one ``resource``."""
        container = {
            "name": "main",
            "image": "boring-ops-lab/lab:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "resources": {"limits": {resource: "1"}},
        }
        spec = {
            "containers": [container],
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        } | ({"nodeSelector": {"kubernetes.io/hostname": node}} if node else {})
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": TEST}, "spec": spec}
        self.run("gpu", "apply", "-f", "-", input=json.dumps(pod))

    def phases(self) -> list[str]:
        return sorted(pod["status"]["phase"] for pod in self.get("pods", "-n", TEST)["items"])

    def wait_ready(self, name: str) -> None:
        self.run("gpu", "wait", "-n", TEST, f"pod/{name}", "--for=condition=Ready", "--timeout=30s")


@pytest.fixture(scope="module")
def gpu(lab_up: object, kubectl: Kubectl) -> GpuCluster:
    """The cluster with the simulators on it."""
    cluster = GpuCluster(kubectl)
    kubectl("gpu", "apply", "-k", str(config.MANIFESTS / "gpu-simulator"))
    kubectl("gpu", "rollout", "status", "-n", NAMESPACE, "daemonset/gpu-simulator", "--timeout=60s")
    becomes(lambda: cluster.gpus("allocatable"), {node.name: str(node.gpu.count) for node in NODES if node.gpu})
    return cluster


@pytest.fixture(autouse=True, scope="module")
def namespace_of_pods(gpu: GpuCluster) -> Iterator[None]:
    gpu.run("gpu", "create", "namespace", TEST)
    # Pods are refused until the controller has made the namespace's service account.
    gpu.run("gpu", "wait", "--for=create", "serviceaccount/default", "--namespace", TEST, "--timeout=20s")
    yield
    gpu.run("gpu", "delete", "namespace", TEST, "--wait=false")


@pytest.fixture(autouse=True)
def fresh(gpu: GpuCluster, namespace_of_pods: None) -> Iterator[None]:
    """After each test no pods of it and healthy GPUs."""
    yield
    gpu.run("gpu", "delete", "pods", "--all", "-n", TEST, "--timeout=40s")
    for one in gpu.ctl(LAST, "list", "--json"):
        for fault in one["faults"]:
            gpu.ctl(LAST, "fault", "heal", "--gpu", str(one["index"]), "--fault", fault)


def test_each_gpu_node_offers_its_gpus(gpu: GpuCluster) -> None:
    assert gpu.gpus("capacity") == {node.name: str(node.gpu.count) for node in NODES if node.gpu}


def test_one_pod_more_than_gpus_stays_pending(gpu: GpuCluster) -> None:
    free = gpu.free()
    for number in range(free + 1):
        gpu.start(f"p{number}")
    becomes(gpu.phases, ["Pending"] + ["Running"] * free)
    (pending,) = [pod for pod in gpu.get("pods", "-n", TEST)["items"] if pod["status"]["phase"] == "Pending"]
    (scheduled,) = [one for one in pending["status"]["conditions"] if one["type"] == "PodScheduled"]
    assert scheduled["reason"] == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in scheduled["message"]
    running = next(pod for pod in gpu.get("pods", "-n", TEST)["items"] if pod["status"]["phase"] == "Running")
    gpu.run("gpu", "delete", "pod", "-n", TEST, running["metadata"]["name"])
    becomes(gpu.phases, ["Running"] * free)


def test_a_gpu_off_the_bus_is_taken_out_and_comes_back(gpu: GpuCluster) -> None:
    gpu.start("holder", node=LAST)
    gpu.wait_ready("holder")
    uuid = gpu.run("gpu", "exec", "-n", TEST, "holder", "--", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES").strip()
    before = gpu.ctl(LAST, "list", "--json")
    count = len(before)
    assert uuid in [one["uuid"] for one in before], "the container has a GPU of its node"

    gpu.ctl(LAST, "fault", "inject", "--gpu", uuid, "--fault", "xid79")
    becomes(lambda: gpu.gpus("allocatable")[LAST], str(count - 1))
    assert gpu.gpus("capacity")[LAST] == str(count)
    xid, count_of_xids = [line for line in gpu.metrics(LAST).splitlines() if uuid in line]
    assert count_of_xids.startswith("DCGM_EXP_XID_ERRORS_COUNT{")
    assert xid.startswith("DCGM_FI_DEV_XID_ERRORS{") and xid.endswith(" 79")
    becomes(lambda: _health(gpu, "holder"), [(uuid, "Unhealthy")])
    assert gpu.phases() == ["Running"], "the pod on the GPU is left alone"

    gpu.ctl(LAST, "fault", "heal", "--gpu", uuid, "--fault", "xid79")
    becomes(lambda: gpu.gpus("allocatable")[LAST], str(count))
    becomes(lambda: _health(gpu, "holder"), [(uuid, "Healthy")])


def _health(gpu: GpuCluster, pod: str) -> list[tuple[str, str]]:
    """Device and health as the pod's status has them."""
    (container,) = gpu.get("pod", "-n", TEST, pod)["status"]["containerStatuses"]
    resources = [one for entry in container.get("allocatedResourcesStatus", []) for one in entry["resources"]]
    return [(one["resourceID"], one["health"]) for one in resources]


def test_metrics_move_with_work_and_carry_the_pod(gpu: GpuCluster) -> None:
    gpu.start("worker", node=LAST, command=("python", "-c", WORK))
    gpu.wait_ready("worker")
    # The exporter learns of the pod some time after the pod is Ready, and the GPU gets warm in its own time.
    least = {"DCGM_FI_DEV_GPU_UTIL": 10, "DCGM_FI_DEV_POWER_USAGE": 70, "DCGM_FI_DEV_FB_USED": 15_000}

    def busy(page: str) -> bool:
        return all(_of_pod(page, name, 0) > value for name, value in least.items())

    page = eventually(lambda: gpu.metrics(LAST), 60, holds=busy)
    assert 'container="main",namespace="test-gpus",pod="worker"' in page
    gpu.run("gpu", "delete", "pod", "worker", "-n", TEST, "--timeout=20s")
    becomes(lambda: 'pod="worker"' in gpu.metrics(LAST), False)


def _of_pod(page: str, name: str, absent: float | None = None) -> float:
    """The value of the metric ``name`` with the label of the pod ``worker``; ``absent`` when no GPU has that label yet."""
    lines = [line for line in page.splitlines() if line.startswith(name + "{") and 'pod="worker"' in line]
    if not lines and absent is not None:
        return absent
    (line,) = lines
    return float(line.split()[-1])


def test_an_overheated_gpu_slows_its_user_but_stays_healthy(gpu: GpuCluster) -> None:
    gpu.start("worker", node=LAST, command=("python", "-c", WORK))
    gpu.wait_ready("worker")
    (held,) = eventually(lambda: [one for one in gpu.ctl(LAST, "list", "--json") if one["pods"] == ["worker"]])
    assert held["pace"] == 1
    gpu.ctl(LAST, "fault", "inject", "--gpu", held["uuid"], "--fault", "overheat")
    becomes(lambda: _last_answer(gpu)["pace"] < 0.5, True)
    assert _last_answer(gpu)["state"] == "ok"
    events = _of_pod(gpu.metrics(LAST), "DCGM_FI_DEV_CLOCKS_EVENT_REASONS")
    assert int(events) & 0x20
    assert gpu.gpus("allocatable")[LAST] == gpu.gpus("capacity")[LAST]


def _last_answer(gpu: GpuCluster) -> Any:
    """What the worker's GPU answered last; full pace as long as it was not asked."""
    last = gpu.run("gpu", "logs", "-n", TEST, "worker", "--tail=1")
    return json.loads(last) if last else {"pace": 1}


def test_a_pod_sees_its_gpu_as_with_nvidia_smi(gpu: GpuCluster) -> None:
    gpu.start("worker")
    gpu.wait_ready("worker")
    inside = ("exec", "-n", TEST, "worker", "--")
    assert gpu.run("gpu", *inside, "nvidia-smi").count("NVIDIA A100-SXM4-80GB") == 1
    uuid = gpu.run("gpu", *inside, "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES").strip()
    assert gpu.run("gpu", *inside, "nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader").strip() == uuid
    assert f"<uuid>{uuid}</uuid>" in gpu.run("gpu", *inside, "/usr/bin/nvidia-smi", "-q", "-x")
    head = gpu.run("gpu", *inside, "nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv").splitlines()[0]
    assert head == "pid, used_gpu_memory [MiB]"
    assert len(gpu.run("gpu", *inside, "nvidia-smi", "dmon", "-c", "2", "-d", "0.2").splitlines()) == 4


def test_a_fault_of_the_gpu_outlives_the_simulators_pod(gpu: GpuCluster) -> None:
    gpu.ctl(LAST, "fault", "inject", "--gpu", "0", "--fault", "xid79")
    gpu.ctl(LAST, "fault", "inject", "--gpu", "1", "--fault", "xid31")
    gpu.restart(LAST)
    assert [one["faults"] for one in gpu.ctl(LAST, "list", "--json")][:2] == [["xid79"], []]
    becomes(lambda: gpu.gpus("allocatable")[LAST], "3")
    gpu.ctl(LAST, "fault", "heal", "--gpu", "0", "--fault", "xid79")
    becomes(lambda: gpu.gpus("allocatable")[LAST], "4")


def test_a_plugin_that_is_gone_takes_the_gpus_with_it_and_brings_them_back(gpu: GpuCluster) -> None:
    gpu.ctl(LAST, "fault", "inject", "--fault", "plugin-crash")
    becomes(lambda: (gpu.gpus("capacity")[LAST], gpu.gpus("allocatable")[LAST]), ("4", "0"))
    gpu.ctl(LAST, "fault", "heal", "--fault", "plugin-crash")
    becomes(lambda: gpu.gpus("allocatable")[LAST], "4")


def test_a_refused_allocation_fails_the_pod_at_admission(gpu: GpuCluster) -> None:
    gpu.ctl(LAST, "fault", "inject", "--fault", "allocate-error")
    gpu.start("worker", node=LAST)
    becomes(gpu.phases, ["Failed"])
    status = gpu.get("pod", "-n", TEST, "worker")["status"]
    assert status["reason"] == "UnexpectedAdmissionError" and "Allocate failed due to" in status["message"]
    gpu.ctl(LAST, "fault", "heal", "--fault", "allocate-error")


@pytest.mark.parametrize(
    ("settings", "resource", "count", "label"),
    [
        ("time-slicing", "nvidia.com/gpu.shared", "16", ("nvidia.com/gpu.sharing-strategy", "time-slicing")),
        ("mig", "nvidia.com/mig-1g.10gb", "4", ("nvidia.com/mig.strategy", "mixed")),
    ],
)
def test_gpus_are_shared_as_the_nodes_label_says(
    gpu: GpuCluster, settings: str, resource: str, count: str, label: tuple[str, str]
) -> None:
    chosen = "nvidia.com/device-plugin.config"
    try:
        gpu.run("gpu", "label", "node", LAST, f"{chosen}={settings}")
        gpu.restart(LAST)
        becomes(lambda: gpu.get("node", LAST)["status"]["allocatable"].get(resource), count)
        assert gpu.get("node", LAST)["metadata"]["labels"][label[0]] == label[1]
        for name in ("worker", "neighbour"):
            gpu.start(name, node=LAST, resource=resource)
            gpu.wait_ready(name)
        seen = gpu.run("gpu", "exec", "-n", TEST, "worker", "--", "nvidia-smi", "-L")
        uuid = gpu.run("gpu", "exec", "-n", TEST, "worker", "--", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES").strip()
        assert f"(UUID: {uuid})" in seen and "::" not in uuid
        becomes(lambda: 'pod="neighbour"' in gpu.metrics(LAST), True)
    finally:
        gpu.run("gpu", "delete", "pods", "--all", "-n", TEST, "--timeout=30s")
        gpu.run("gpu", "label", "node", LAST, f"{chosen}-")
        gpu.restart(LAST)
        becomes(lambda: gpu.gpus("allocatable")[LAST], "4")


def test_an_unknown_fault_is_refused_with_those_there_are(gpu: GpuCluster) -> None:
    with pytest.raises(Exception, match="overheat, power-cap"):
        gpu.ctl(NODES[0].name, "fault", "inject", "--gpu", "0", "--fault", "meltdown")


def test_virtual_nodes_offer_gpus_to_who_asks_for_them_and_leave_nothing(gpu: GpuCluster) -> None:
    def fleet(kind: str, *words: str) -> dict[str, Any]:
        items = gpu.get(kind, *words)["items"]
        return {item["metadata"]["name"]: item for item in items if item["metadata"]["name"].startswith("fleet-")}

    def ready() -> int:
        rows = [row for node in fleet("nodes").values() for row in node["status"].get("conditions", [])]
        return sum((row["type"], row["status"]) == ("Ready", "True") for row in rows)

    words = ["many", "--nodes=40", "--prefix=fleet-", "--port=0", "--context=gpu", f"--kubeconfig={Paths.current().kubeconfig}"]
    environment = os.environ | {"PYTHONPATH": str(config.ROOT)}
    with subprocess.Popen([sys.executable, "-m", "labs.pods", "gpu-simulator", *words], env=environment) as process:
        try:
            eventually(ready, 60, holds=lambda count: count == 40)
            nodes = fleet("nodes")
            assert {node["status"]["allocatable"]["nvidia.com/gpu"] for node in nodes.values()} == {"8"}
            assert {node["metadata"]["labels"]["nvidia.com/gpu.count"] for node in nodes.values()} == {"8"}
            assert set(fleet("leases", "-n", "kube-node-lease")) == set(nodes)
            assert all("boring-ops-lab/virtual-node" in [row["key"] for row in node["spec"]["taints"]] for node in nodes.values())
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert not fleet("nodes") and not fleet("leases", "-n", "kube-node-lease")
