"""Pods on a real kubelet over the lab's runtime: a few of each kind; upstream's own suite covers the rest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.integration.conftest import Object, Pods
from tests.integration.sandbox.cluster import SandboxCluster
from tests.support.lab import Kubectl
from tests.support.waiting import eventually


def running(pod: Object) -> bool:
    """Whether it is Ready."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))


def phase(*wanted: str) -> Callable[[Object], bool]:
    """A condition: the pod's phase is among ``wanted``."""
    return lambda pod: pod["status"]["phase"] in wanted


def test_the_node_says_what_it_is(kubectl: Kubectl) -> None:
    node = json.loads(kubectl("app", "get", "node", "n1", "-o", "json"))
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("boring-ops-lab://")


def test_token_config_secret_and_memory_volumes_are_at_their_true_paths(pods: Pods) -> None:
    pods.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"word": "boring"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"key": "secret"}},
    )
    script = "cat /etc/words/word /etc/key/key; stat -f -c %T /fast; wc -c < /var/run/secrets/kubernetes.io/serviceaccount/token"
    volumes = [
        {"name": "words", "configMap": {"name": "words"}},
        {"name": "key", "secret": {"secretName": "key"}},
        {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    mounts = [
        {"name": name, "mountPath": path} for name, path in (("words", "/etc/words"), ("key", "/etc/key"), ("fast", "/fast"))
    ]
    pods.apply(pods.pod("volumes", script, volumeMounts=mounts, spec={"volumes": volumes, "restartPolicy": "Never"}))
    pods.until("volumes", phase("Succeeded"), 60)
    words, length = pods.run("logs", "volumes").split()
    assert words == "boringsecrettmpfs"
    assert int(length) > 500


def test_probes_reach_the_pods_own_address(pods: Pods) -> None:
    program = ["python3", "-m", "http.server", "80"]
    pods.apply(pods.pod("web", command=program, readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 1}))
    pods.until("web", running, 60)
    pods.apply(pods.pod("silent", "sleep 60", readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 1}))
    pods.until_event("silent", "Unhealthy", "connection refused", 60)


def test_exec_attach_and_port_forward(pods: Pods, cluster: SandboxCluster) -> None:
    pods.apply(pods.pod("shell", "read word; echo got $word; sleep 60", stdin=True))
    pods.until("shell", running, 60)
    assert pods.run("exec", "shell", "--", "sh", "-c", "echo out; hostname") == "out\nshell\n"
    with pytest.raises(AssertionError, match="exit code 7"):
        pods.run("exec", "shell", "--", "sh", "-c", "exit 7")
    assert pods.run("exec", "-i", "shell", "--", "cat", input="typed") == "typed"
    base = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "-n", pods.namespace]
    attached = subprocess.Popen([*base, "attach", "-i", "shell"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert attached.stdin
    attached.stdin.write("hello\n")
    attached.stdin.flush()
    eventually(lambda: "got hello" in pods.run("logs", "shell"), 30)
    attached.kill()
    attached.communicate()


def test_memory_limit_and_restart(pods: Pods) -> None:
    script = "sleep 1; x=$(head -c 100000000 /dev/zero | tr '\\0' a); sleep 60"
    pods.apply(pods.pod("hungry", script, resources={"limits": {"memory": "32Mi"}}))
    pod = pods.until("hungry", lambda pod: pod["status"].get("containerStatuses", [{}])[0].get("lastState"), 60)
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)


def test_the_kubelet_killed(pods: Pods, cluster: SandboxCluster, kubectl: Kubectl) -> None:
    pods.apply(pods.pod("steady", "sleep 600"))
    before = pods.until("steady", running, 60)["status"]["containerStatuses"][0]
    cluster.kill("kubelet-n1")
    pods.apply(pods.pod("after", "sleep 600"))
    pods.until("after", running, 60)
    after = pods.get("steady")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)


def test_the_runtime_killed(pods: Pods, cluster: SandboxCluster) -> None:
    pods.apply(pods.pod("steady", "sleep 600"))
    before = pods.until("steady", running, 60)["status"]["containerStatuses"][0]
    cluster.kill("runtime")
    pods.apply(pods.pod("after", "sleep 600"))
    pods.until("after", running, 90)
    after = pods.get("steady")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)


def test_an_image_that_no_row_names(pods: Pods) -> None:
    pods.apply(pods.pod("unknown", "true", image="nginx:1"))
    pods.until_event("unknown", "Failed", "it can run:", 30)
