"""Clusters and nodes that join and leave the running lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from labs import record, topology
from labs.embedded import control, plan, ports
from labs.paths import Paths
from tests.support.lab import Kubectl, lab_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

EU = "gpu-eu"
LINK_CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: links.multicluster.linkerd.io}
spec:
  group: multicluster.linkerd.io
  scope: Namespaced
  names: {kind: Link, listKind: LinkList, plural: links, singular: link}
  versions:
    - name: v1alpha3
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
LINK = {
    "apiVersion": "multicluster.linkerd.io/v1alpha3",
    "kind": "Link",
    "metadata": {"name": EU, "namespace": "default"},
    "spec": {"targetClusterName": EU},
}


def lab(*words: str) -> str:
    done = lab_command(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def children() -> dict[str, int | None]:
    return {row["name"]: row["pid"] for row in control.status()["children"]}


@pytest.fixture
def europe(lab_up: None) -> Iterator[str]:
    """The cluster on demand, for one test."""
    lab("up", "--cluster", EU)
    yield EU
    if EU in record.require().clusters:
        lab("down", "--cluster", EU)


def test_a_third_cluster_joins_and_leaves_beside_a_running_lab(lab_up: None, kubectl: Kubectl) -> None:
    before = children()
    lab("up", "--cluster", EU)
    grown = children()
    assert before.items() <= grown.items(), "what ran goes on with the same processes"
    nodes = {row["metadata"]["name"]: row for row in json.loads(kubectl(EU, "get", "nodes", "--output=json"))["items"]}
    assert set(nodes) == {node.name for node in topology.find(EU).nodes}
    assert nodes["gpu-eu-worker"]["metadata"]["labels"]["nvidia.com/gpu.count"] == "2"
    kubectl(EU, "create", "configmap", "of-the-first", "--namespace=default")
    kubectl(EU, "kustomize", str(Paths.current().manifests / f"prometheus-{EU}"))

    lab("down", "--cluster", EU)
    assert children() == before
    listeners = plan.cluster_listeners(plan.ClusterPlan(topology.find(EU)))
    assert all(ports.is_free(host, port) for host, port, _ in listeners)
    state = Paths.current().state
    assert not [path for path in state.rglob(f"*{EU}*") if "etcd" not in path.parts]

    lab("up", "--cluster", EU)
    maps = kubectl(EU, "get", "configmaps", "--namespace=default", "--output=name")
    assert "of-the-first" not in maps, "it begins empty"
    lab("down", "--cluster", EU)


def test_a_linked_cluster_stays_until_it_is_unlinked(europe: str, kubectl: Kubectl) -> None:
    installed = "links.multicluster.linkerd.io" in kubectl("app", "api-resources", "--output=name")
    if not installed:
        kubectl("app", "apply", "-f", "-", input=LINK_CRD)
        kubectl("app", "wait", "--for=condition=Established", "crd/links.multicluster.linkerd.io", "--timeout=20s")
    eventually(partial(kubectl, "app", "apply", "-f", "-", input=json.dumps(LINK)))
    try:
        refused = lab_command("down", "--cluster", europe)
        assert refused.returncode == 2 and "cluster app is linked to gpu-eu" in refused.stderr
        assert "multicluster unlink --cluster-name gpu-eu" in refused.stderr
        assert kubectl(europe, "get", "nodes", "--output=name")
    finally:
        kubectl("app", "delete", "links.multicluster.linkerd.io", EU, "--namespace=default")
        if not installed:
            kubectl("app", "delete", "crd", "links.multicluster.linkerd.io")
    lab("down", "--cluster", europe)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["up", "--cluster", "gpu-us"], 1, "there are: app, gpu, gpu-eu"),
        (["down", "--cluster", "gpu-us"], 1, "there are: app, gpu"),
        (["down", "--cluster", "gpu"], 2, "cluster gpu is part of every lab"),
        (["node", "remove", "gpu-worker", "--cluster", "gpu"], 2, "only nodes that were added can be removed"),
        (["node", "add", "gpu-worker", "--cluster", "app"], 2, "exists already"),
        (["node", "add", "--cluster", "gpu-us"], 1, "there are: app, gpu"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(lab_up: None, words: list[str], code: int, said: str) -> None:
    before = children(), record.read()
    refused = lab_command(*words)
    assert refused.returncode == code and said in refused.stderr
    assert (children(), record.read()) == before


def pods_on(kubectl: Kubectl, namespace: str, node: str) -> list[dict[str, Any]]:
    text = kubectl("app", "get", "pods", "--namespace", namespace, f"--field-selector=spec.nodeName={node}", "--output=json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return [item for item in items if item["status"]["phase"] == "Running"]


def test_a_node_joins_takes_pods_and_leaves_while_they_run(kubectl: Kubectl, namespace: str) -> None:
    before = children()
    name = lab("node", "add", "--cluster", "app", "--label", "pool=extra").split()[-1]
    assert name == "app-worker3" and name in lab("node", "list")
    container = {"name": "main", "image": "busybox:1", "command": ["sleep", "600"]}
    spec = {"nodeSelector": {"pool": "extra"}, "containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": {"app": "extra"}}, "spec": spec}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "extra", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "extra"}}, "template": template},
    }
    kubectl("app", "apply", "-f", "-", input=json.dumps(deployment))
    eventually(lambda: len(pods_on(kubectl, namespace, name)) == 2, 60)
    assert control.kill(f"app/{name}") is not None, "an added node is a process like the others"
    eventually(lambda: children()[f"app/{name}"], 30)

    lab("node", "remove", name, "--cluster", "app")
    assert children() == before and name not in kubectl("app", "get", "nodes", "--output=name")
    left = kubectl("app", "get", "pods", "--namespace", namespace, "--output=jsonpath={.items[*].spec.nodeName}")
    assert name not in left.split()
    assert not (Paths.current().state / "nodes" / name).exists()


def test_an_added_node_survives_stop_and_up(lab_up: None, kubectl: Kubectl) -> None:
    name = lab("node", "add", "--cluster", "gpu", "--gpus", "1", "--product", "NVIDIA-L40S").split()[-1]
    lab("stop")
    lab("up")
    row = json.loads(kubectl("gpu", "get", "node", name, "--output=json"))
    assert row["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    lab("node", "remove", name, "--cluster", "gpu")
