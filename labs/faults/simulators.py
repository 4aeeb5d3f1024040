"""The GPU simulators of a cluster, one a node: what they say of their cards, and their control commands over ``kubectl exec``."""

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
    """The simulators of ``cluster`` that run now; ``pods`` are their names by node."""

    cluster: Cluster
    pods: Mapping[str, str]

    @classmethod
    def of(cls, cluster: Cluster) -> Simulators:
        found = kube.select(cluster.api, "Pod", NAMESPACE, labels=LABELS, fields="status.phase=Running")
        pods = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in found}
        return cls(cluster, dict(sorted(pods.items())))

    def on(self, node: str | None) -> Simulators:
        """Only that of ``node``; all for None.

        Raises:
            LabError: no simulator runs at all.
            NotFound: none runs on ``node``.
        """
        if not self.pods:
            raise LabError("no GPU simulator runs in cluster gpu", fix="kubectl --context gpu -n gpu-system get pods -o wide")
        if node is None:
            return self
        if node not in self.pods:
            raise NotFound("GPU node", node, list(self.pods))
        return Simulators(self.cluster, {node: self.pods[node]})

    def ctl(self, node: str, *words: str) -> str:
        """What the control command ``words`` prints on ``node``."""
        command = ("python", "-m", "labs.pods", "gpu-simulator", "ctl", *words)
        return self.cluster.kubectl("-n", NAMESPACE, "exec", self.pods[node], "-c", "gpu-simulator", "--", *command)

    def cards(self) -> list[tuple[str, dict[str, Any]]]:
        """(node, card) of every card."""
        with ThreadPoolExecutor() as threads:  # each answer is a kubectl and a Python that start
            answers = threads.map(lambda node: json.loads(self.ctl(node, "list", "--json")), self.pods)
            return [(node, card) for node, cards in zip(self.pods, answers, strict=True) for card in cards]
