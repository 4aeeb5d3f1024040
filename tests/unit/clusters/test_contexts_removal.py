"""``lab down`` on clusters that are not the lab's: only what the lab made goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labs import errors
from labs.clusters.contexts import removal
from labs.clusters.contexts.plan import ClusterPlan


class FakeCluster:
    """Answers as kubectl would; keeps what was deleted."""

    name = "gpu"

    def __init__(self, objects: list[dict[str, Any]], uid: str = "uid-gpu") -> None:
        self.objects, self.uid = objects, uid
        self.deleted: list[str] = []
        self.unlabelled: list[str] = []

    def kubectl(self, *args: str, timeout: float = 60) -> str:
        if args[0] == "api-resources":
            return "deployments.apps\nevents\n" if "--namespaced=true" in args else "namespaces\nclusterroles.rbac\n"
        if args[0] == "get":
            return self._get(args)
        if args[0] == "delete":
            self.deleted += [word for word in args[1:] if not word.startswith("--") and word != "namespace"]
        if args[0] == "label":
            self.unlabelled += args[3:]
        return ""

    def _get(self, args: tuple[str, ...]) -> str:
        if args[1:3] == ("namespace", "kube-system"):
            return json.dumps({"metadata": {"uid": self.uid}})
        kinds = {"Namespace": "namespaces", "Node": "nodes", "Deployment": "deployments.apps", "ClusterRole": "clusterroles.rbac"}
        rows = [row for row in self.objects if kinds[row["kind"]] in args[1].split(",")]
        selector = next((word.partition("=")[2] for word in args if word.startswith("--selector=")), None)
        if selector is not None:
            key, _, value = selector.partition("=")
            rows = [row for row in rows if row["metadata"].get("labels", {}).get(key) == value]
        return json.dumps({"items": rows})


OURS = {"app.kubernetes.io/part-of": "boring-ops-lab"}


def an_object(kind: str, name: str, labels: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    version = {"Deployment": "apps/v1", "ClusterRole": "rbac/v1"}.get(kind, "v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels or {}, **metadata}}


def removed(cluster: FakeCluster, **changes: Any) -> list[str]:
    removal.remove(cluster, ClusterPlan("gpu", "team-gpu", "https://gpu", "uid-gpu", ["ml"], **changes))  # type: ignore[arg-type]
    return cluster.deleted


def test_only_what_is_ours_goes() -> None:
    cluster = FakeCluster(
        [
            an_object("Namespace", "default"),
            an_object("Namespace", "ml"),
            an_object("Namespace", "linkerd"),
            an_object("Namespace", "exercise", OURS),
            an_object("Deployment", "hello", OURS, namespace="default"),
            an_object("Deployment", "model-server", OURS, namespace="ml"),
            an_object("Deployment", "shop", namespace="default"),
            an_object("ClusterRole", "gpu-simulator", OURS),
            an_object("ClusterRole", "linkerd-x", {"linkerd.io/control-plane-ns": "linkerd"}),
            an_object("ClusterRole", "admin"),
        ]
    )
    assert removed(cluster) == [
        "Deployment.v1.apps/hello",
        *("ml", "linkerd", "exercise"),
        *("ClusterRole.v1.rbac/gpu-simulator", "ClusterRole.v1.rbac/linkerd-x"),
    ]


def test_what_carried_the_label_before_stays() -> None:
    cluster = FakeCluster(
        [an_object("Namespace", "old", OURS), an_object("ClusterRole", "other", OURS), an_object("ClusterRole", "ours", OURS)]
    )
    before = ["Namespace//old", "ClusterRole.v1.rbac//other"]
    assert removed(cluster, before=before) == ["ClusterRole.v1.rbac/ours"]


def test_what_has_an_owner_goes_with_it() -> None:
    pod = an_object("Deployment", "owned", OURS, namespace="default", ownerReferences=[{"name": "x"}])
    assert removed(FakeCluster([pod])) == []


def test_nodes_get_back_the_labels_they_had() -> None:
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "4", "nvidia.com/cuda.driver.major": "570", "team": "a"}
    cluster = FakeCluster([an_object("Node", "g1", labels), an_object("Node", "other", labels)])
    removed(cluster, had={"g1": {"nvidia.com/gpu.count": "2"}, "gone": {}})
    assert cluster.unlabelled == [
        "--overwrite",
        "nvidia.com/gpu.present-",
        "nvidia.com/cuda.driver.major-",
        "nvidia.com/gpu.count=2",
    ]


def test_another_cluster_under_the_same_name_is_left_alone() -> None:
    cluster = FakeCluster([an_object("Namespace", "ml")], uid="another")
    with pytest.raises(errors.LabError, match="found another one"):
        removed(cluster)
    assert cluster.deleted == []
