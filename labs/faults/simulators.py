"""The GPU simulators of a cluster, one per node: what they report, and their control commands over ``kubectl exec``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from labs import kube
from labs.clusters.base import Cluster
from labs.errors import LabError, NotFound

LABELS = "app.kubernetes.io/name=gpu-simulator"
NAMESPACE = "gpu-system"


@dataclass(frozen=True)
class Simulators:
    """The simulators that run in ``cluster`` now; ``pods`` maps nodes to pod names."""

    cluster: Cluster
    pods: Mapping[str, str]

    @classmethod
    def of(cls, cluster: Cluster) -> Simulators:
        found = kube.select(cluster.api, "Pod", NAMESPACE, labels=LABELS, fields="status.phase=Running")
        pods = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in found}
        return cls(cluster, dict(sorted(pods.items())))

    def on(self, node: str | None) -> Simulators:
        """Only the one on ``node``, or all of them for None.

        Raises:
            LabError: no simulator is running.
            NotFound: none runs on ``node``.
        """
        if not self.pods:
            name = self.cluster.name
            raise LabError(
                f"no GPU simulator is running in cluster {name}", fix=f"kubectl --context {name} -n gpu-system get pods -o wide"
            )
        if node is None:
            return self
        if node not in self.pods:
            raise NotFound("GPU node", node, list(self.pods))
        return Simulators(self.cluster, {node: self.pods[node]})

    def ctl(self, node: str, *arguments: str) -> str:
        """Run a control command on ``node`` and return what it prints."""
        command = ("python", "-m", "labs.pods", "gpu-simulator", "ctl", *arguments)
        return self.cluster.kubectl("-n", NAMESPACE, "exec", self.pods[node], "-c", "gpu-simulator", "--", *command)

    def gpus(self) -> list[tuple[str, dict[str, Any]]]:
        """(node, state) for every GPU."""
        with ThreadPoolExecutor() as threads:  # each answer starts a kubectl and a Python
            answers = threads.map(lambda node: json.loads(self.ctl(node, "list", "--json")), self.pods)
            return [(node, state) for node, states in zip(self.pods, answers, strict=True) for state in states]
