"""``lab down`` on clusters that are not the lab's: what carries its labels goes, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from labs import errors
from labs.clusters.base import Cluster
from labs.clusters.contexts.plan import LINKERD_NAMESPACES, ClusterPlan, gpu_labels

SELECTORS = (
    "app.kubernetes.io/part-of=boring-ops-lab",
    # What `linkerd install` and its extensions put outside of their namespaces. There was no Linkerd before the lab's.
    "linkerd.io/control-plane-ns=linkerd",
    "linkerd.io/extension in (viz,multicluster)",
)
FIRST = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "apiservices")
"""Before the pods behind them: without those, the API server would wait for a webhook, or refuse to finish with a namespace."""
LAST = ("customresourcedefinitions.apiextensions.k8s.io",)
"""After the objects of their kinds."""
TIMEOUT = 180.0
"""Seconds the namespaces of one cluster may take to go."""


def remove(cluster: Cluster, made: ClusterPlan) -> None:
    """Remove from ``cluster`` what the lab made there; harmless when it is gone.

    Raises:
        LabError: this is another cluster than the one the lab was brought up on.
        CommandFailed, TimedOut: it could not be finished; the same command continues.
    """
    require_same(cluster, made)
    kinds = _kinds(cluster, namespaced=False)
    _sweep(cluster, made, [kind for kind in kinds if _plural(kind) in FIRST])
    spaces = namespaces(cluster, made)
    _sweep(cluster, made, _kinds(cluster, namespaced=True), outside=spaces)
    if spaces:
        options = ["--ignore-not-found", "--wait", f"--timeout={TIMEOUT:.0f}s"]
        cluster.kubectl("delete", "namespace", *spaces, *options, timeout=TIMEOUT + 10)
    _sweep(cluster, made, [kind for kind in kinds if kind not in LAST and _plural(kind) not in (*FIRST, "namespaces")])
    _sweep(cluster, made, [kind for kind in kinds if kind in LAST])
    _restore_labels(cluster, made)


def require_same(cluster: Cluster, made: ClusterPlan) -> None:
    """Raise LabError if the kubeconfig leads to another cluster than it did when the lab came up."""
    found = json.loads(cluster.kubectl("get", "namespace", "kube-system", "--output=json"))["metadata"]["uid"]
    if found != made.uid:
        raise errors.LabError(
            f"expected the cluster of context {made.context} to be the one the lab was brought up on (kube-system {made.uid});"
            f" found another one ({found}): nothing was removed",
            fix="the lab's cluster is gone; if so: rm -r .lab",
        )


def namespaces(cluster: Cluster, made: ClusterPlan) -> list[str]:
    """The namespaces that go: those the lab recorded or labelled, and Linkerd's, of which it made sure that there were none."""
    rows = json.loads(cluster.kubectl("get", "namespaces", "--output=json"))["items"]
    ours = {*made.namespaces, *LINKERD_NAMESPACES}
    return [row["metadata"]["name"] for row in rows if row["metadata"]["name"] in ours or _is_labelled(row, made)]


def _is_labelled(row: dict[str, Any], made: ClusterPlan) -> bool:
    label = row["metadata"].get("labels", {}).get("app.kubernetes.io/part-of")
    return label == "boring-ops-lab" and f"Namespace//{row['metadata']['name']}" not in made.before


def _plural(kind: str) -> str:
    return kind.partition(".")[0]


def labelled(cluster: Cluster) -> list[str]:
    """What carries one of the lab's labels now: ``KIND/NAMESPACE/NAME``, the namespace empty where the kind has none."""
    return [str(row) for scope in (True, False) for row in _labelled(cluster, _kinds(cluster, namespaced=scope))]


@dataclass(frozen=True)
class _Object:
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


def _kinds(cluster: Cluster, *, namespaced: bool) -> list[str]:
    scope = f"--namespaced={'true' if namespaced else 'false'}"
    names = cluster.kubectl("api-resources", "--verbs=list,delete", scope, "--output=name").split()
    return [name for name in names if _plural(name) != "events"]


def _labelled(cluster: Cluster, kinds: list[str]) -> Iterator[_Object]:
    """Those without an owner that would take them along."""
    for selector in SELECTORS if kinds else ():
        text = cluster.kubectl("get", ",".join(kinds), "--all-namespaces", f"--selector={selector}", "--output=json")
        for item in json.loads(text)["items"]:
            group, _, version = item["apiVersion"].rpartition("/")
            kind = f"{item['kind']}.{version}.{group}" if group else item["kind"]
            if not item["metadata"].get("ownerReferences"):
                yield _Object(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])


def _sweep(cluster: Cluster, made: ClusterPlan, kinds: list[str], outside: Collection[str] = ()) -> None:
    """Delete what carries one of the labels, but not what was there before or goes with its namespace."""
    for row in dict.fromkeys(_labelled(cluster, kinds)):
        if row.namespace not in outside and str(row) not in made.before:
            place = [f"--namespace={row.namespace}"] if row.namespace else []
            cluster.kubectl("delete", f"{row.kind}/{row.name}", *place, "--ignore-not-found", "--wait=false")


def _restore_labels(cluster: Cluster, made: ClusterPlan) -> None:
    """Give the nodes back the labels about GPUs that they had: the simulator adds some of its own to the lab's."""
    nodes = {row["metadata"]["name"]: row for row in json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]}
    for name, had in made.had.items():
        have = gpu_labels(nodes[name]["metadata"].get("labels", {})) if name in nodes else had
        changes = [f"{key}-" for key in have if key not in had]
        changes += [f"{key}={value}" for key, value in had.items() if have.get(key) != value]
        if changes:
            cluster.kubectl("label", "node", name, "--overwrite", *changes)
