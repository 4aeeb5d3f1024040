"""Serving end to end: the model server on GPUs, the chat in front of it, load from a pod, a GPU that is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labs import config
from tests.support.lab import processes_of

pytestmark = pytest.mark.integration

Kubectl = Callable[..., str]
MODEL = "http://model-server.ml.svc.cluster.local:8000"


@pytest.fixture(scope="module")
def serving(kubectl: Kubectl) -> Iterator[Kubectl]:
    """GPU simulator and model server run in the cluster gpu; what was not there before is removed afterwards."""
    had = kubectl("gpu", "get", "namespace", "ml", "--ignore-not-found", "-o", "name")
    for workload in ("gpu-simulator", "model-server"):
        kubectl("gpu", "apply", "-k", str(config.MANIFESTS / workload))
    kubectl("gpu", "-n", "gpu-system", "rollout", "status", "daemonset/gpu-simulator", "--timeout=60s", timeout=70)
    kubectl("gpu", "-n", "ml", "rollout", "status", "deployment/model-server", "--timeout=90s", timeout=100)
    yield kubectl
    if not had:
        kubectl("gpu", "delete", "-k", str(config.MANIFESTS / "model-server"), "--wait=true", timeout=90)


def load(kubectl: Kubectl, *flags: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the load generator as a pod in namespace ml; its records and its summary."""
    name = f"load-{time.time_ns() % 10**9}"
    container = {"name": "loadgen", "image": "boring-ops-lab/lab:dev", "args": ["loadgen", "--url", MODEL, *flags]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=0"
    kubectl("gpu", "-n", "ml", "apply", "-f", "-", input=json.dumps(pod))
    try:
        kubectl("gpu", "-n", "ml", "wait", ended, f"pod/{name}", "--timeout=90s", timeout=100)
        lines = [json.loads(line) for line in kubectl("gpu", "-n", "ml", "logs", name).splitlines()]
    finally:
        kubectl("gpu", "-n", "ml", "delete", "pod", name, "--wait=false")
    return [line for line in lines if line["kind"] == "request"], lines[-1]


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        kubectl("gpu", "-n", "ml", "get", "pods", "-l", "app.kubernetes.io/name=model-server", "-o", "json")
    )["items"]
    return found


def test_each_replica_has_a_gpu_of_its_own_and_both_answer(serving: Kubectl) -> None:
    records, summary = load(serving, "--rps=8", "--seconds=5", "--stream", "--timeout=20")
    assert summary["failed"] == 0, summary["errors"]
    assert {record["pod"] for record in records} == {pod["metadata"]["name"] for pod in pods(serving)}
    assert len({record["gpu"] for record in records}) == 2 and {record["cluster"] for record in records} == {"gpu"}
    assert summary["ttft"]["p50"] > 0 and summary["tokens"] > 40 * len(records)


def test_a_lost_gpu_takes_its_server_out_and_healing_brings_it_back(serving: Kubectl) -> None:
    records, _ = load(serving, "--rps=2", "--seconds=4")
    victim = records[0]
    simulator = serving(
        "gpu", "-n", "gpu-system", "get", "pods", "-o", "name", f"--field-selector=spec.nodeName={victim['node']}"
    ).split()[0]
    fault = ("--", "python", "-m", "labs.pods", "gpu-simulator", "ctl", "fault")
    which = ("--gpu", victim["gpu"], "--fault", "xid79")
    serving("gpu", "-n", "gpu-system", "exec", simulator, *fault, "inject", *which)
    try:
        serving("gpu", "-n", "ml", "wait", "--for=condition=Ready=false", f"pod/{victim['pod']}", "--timeout=30s", timeout=40)
        _, summary = load(serving, "--rps=1", "--seconds=5", "--timeout=20")
        assert victim["pod"] not in summary["by_pod"] and summary["ok"] > 0
    finally:
        serving("gpu", "-n", "gpu-system", "exec", simulator, *fault, "heal", *which)
    serving("gpu", "-n", "ml", "wait", "--for=condition=Ready", f"pod/{victim['pod']}", "--timeout=60s", timeout=70)
    (pod,) = [pod for pod in pods(serving) if pod["metadata"]["name"] == victim["pod"]]
    assert pod["status"]["containerStatuses"][0]["restartCount"] >= 1


def test_a_killed_server_is_started_again_on_its_gpu(serving: Kubectl) -> None:
    victim, survivor = pods(serving)
    name = victim["metadata"]["name"]
    before = victim["status"]["containerStatuses"][0]["restartCount"]
    processes_of(victim, "model-server")[0].kill()
    count = "{.status.containerStatuses[0].restartCount}"
    serving("gpu", "-n", "ml", "wait", f"--for=jsonpath={count}={before + 1}", f"pod/{name}", "--timeout=30s", timeout=40)
    serving("gpu", "-n", "ml", "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70)
    ended = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}"
    assert serving("gpu", "-n", "ml", "get", "pod", name, "-o", ended) == "137"
    records, summary = load(serving, "--rps=8", "--seconds=5", "--timeout=20")
    assert summary["failed"] == 0, summary["errors"]
    assert {record["pod"] for record in records} == {name, survivor["metadata"]["name"]}
    assert len({(record["node"], record["gpu"]) for record in records}) == 2


def test_a_rollout_drops_no_request(serving: Kubectl) -> None:
    """Graceful drain: both servers are replaced while requests come in."""
    serving("gpu", "-n", "ml", "rollout", "restart", "deployment/model-server")
    _, summary = load(serving, "--rps=3", "--seconds=14", "--timeout=30")
    serving("gpu", "-n", "ml", "rollout", "status", "deployment/model-server", "--timeout=60s", timeout=70)
    assert summary["failed"] == 0, summary["errors"]


def test_the_chat_says_clearly_that_the_model_cannot_be_reached(kubectl: Kubectl) -> None:
    """Without a link there is no model-server-gpu: the chat itself is healthy and says at which hop the question ended."""
    kubectl("app", "apply", "-k", str(config.MANIFESTS / "chat"))
    kubectl("app", "-n", "shop", "rollout", "status", "deployment/chat", "--timeout=60s", timeout=70)
    if kubectl("app", "get", "service", "-A", "-o", "name").count("model-server-gpu"):
        pytest.skip("this lab is linked already")
    ask = (
        "import os, urllib.request, urllib.error\n"
        "host = os.environ.get('BIND_ADDRESS', '127.0.0.1')\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
        "try: opener.open(f'http://{host}:8080/api/chat', data=b'{\"message\": \"hello\"}')\n"
        "except urllib.error.HTTPError as error: print(error.code, error.read().decode())\n"
    )
    status, _, body = kubectl("app", "-n", "shop", "exec", "deploy/chat", "--", "python", "-c", ask).partition(" ")
    assert status in ("502", "503", "504") and json.loads(body)["error"]["hop"] in ("network", "mesh")
