"""What every injector is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labs import kube
from labs.clusters.base import Backend, Cluster
from labs.errors import LabError, NotFound

Where = dict[str, Any]
"""The place of a fault, in the words of its row; JSON."""
Memory = dict[str, Any]
"""What was there before, for the heal; JSON, since it outlives the process in the journal."""
GPU_NODE = "GPU_NODE"
"""Stands in rows and manifests for a node with cards: each backend gives its nodes other names."""
GPU_PRESENT = "nvidia.com/gpu.present=true"
SETTLE = 90.0
"""Seconds a heal waits for what it restored to be in service again."""


@dataclass(frozen=True)
class Scene:
    """The lab as injectors see it."""

    backend: Backend
    clusters: Mapping[str, Cluster]

    def api(self, cluster: str) -> kube.ApiClient:
        return self.clusters[cluster].api


class Injector:
    """One way to break something. The defaults fit one that takes no words and remembers nothing."""

    def refusal(self, scene: Scene) -> str | None:
        """Why this backend cannot do it, or None if it can."""
        return None

    def resolve(self, scene: Scene, where: Where) -> Where:
        """Check ``where`` and fill in what it leaves open; changes nothing.

        Raises:
            UsageError, NotFound: it names something that is not there.
        """
        return where

    def touches(self, where: Where) -> frozenset[str]:
        """Names of what it changes: two faults that change one thing cannot both be undone, so the second is refused."""
        return frozenset()

    def remember(self, scene: Scene, where: Where) -> Memory:
        """What a heal must know of the time before; read, and stored, before anything is broken."""
        return {}

    def inject(self, scene: Scene, where: Where) -> None:
        """Break it, at a place that ``resolve`` returned."""
        raise NotImplementedError

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        """Undo it and wait until what was hit is in service again; harmless if it is healed already."""
        raise NotImplementedError


@dataclass(frozen=True)
class Target:
    """One object of one cluster."""

    cluster: str
    kind: str
    name: str
    namespace: str | None = None

    @property
    def title(self) -> str:
        return (
            f"{self.cluster} {self.kind.rpartition('/')[2].lower()} {f'{self.namespace}/' if self.namespace else ''}{self.name}"
        )

    def get(self, scene: Scene) -> kube.Object | None:
        return kube.get(scene.api(self.cluster), self.kind, self.name, self.namespace)

    def require(self, scene: Scene, fix: str = "") -> kube.Object:
        """The object.

        Raises:
            NotFound: there is none.
        """
        found = self.get(scene)
        if found is None:
            short = self.kind.rpartition("/")[2]
            raise NotFound(f"{short} in cluster {self.cluster}", f"{self.namespace or ''}/{self.name}".lstrip("/"), fix=fix)
        return found

    def wait(self, scene: Scene, until: kube.Condition = kube.rolled_out, timeout: float = SETTLE) -> None:
        kube.wait(scene.api(self.cluster), self.kind, self.name, self.namespace, until, timeout=timeout)


def choose_gpu_node(scene: Scene, cluster: str, where: Where) -> str:
    """The node with cards that ``where`` names, or the first one.

    Raises:
        NotFound: the cluster has no node of that name with cards.
    """
    known = sorted(row["metadata"]["name"] for row in kube.select(scene.api(cluster), "Node", labels=GPU_PRESENT))
    chosen = str(where.get("node", known[0] if known else "any"))
    if chosen not in known:
        raise NotFound(f"node with GPUs in cluster {cluster}", chosen, known)
    return chosen


@dataclass(frozen=True)
class Pods:
    """The pods that a selector chooses."""

    cluster: str
    namespace: str
    labels: str

    def names(self, scene: Scene, lacking: kube.Condition | None = None) -> list[str]:
        """Those that are not on their way out, sorted; with ``lacking`` only those for which that condition is not true."""
        found = kube.select(scene.api(self.cluster), "Pod", self.namespace, labels=self.labels)
        staying = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
        return sorted(pod["metadata"]["name"] for pod in staying if lacking is None or lacking(pod) is not None)

    def delete(self, scene: Scene, names: Sequence[str], *, grace: int | None = None) -> None:
        for name in names:
            kube.delete(scene.api(self.cluster), "Pod", name, self.namespace, grace=grace)

    def replace(self, scene: Scene) -> None:
        """Delete all of them and wait until they are gone: before that, their owner's status may still count them as ready."""
        names = self.names(scene)
        self.delete(scene, names)
        for name in names:
            kube.wait(scene.api(self.cluster), "Pod", name, self.namespace, kube.deleted, timeout=SETTLE)

    def require_one(self, scene: Scene) -> str:
        """The name of the first.

        Raises:
            LabError: there is none.
        """
        names = self.names(scene)
        if not names:
            command = f"kubectl --context {self.cluster} -n {self.namespace} get pods"
            raise LabError(f"no pod with {self.labels} in {self.namespace} of cluster {self.cluster}", fix=command)
        return names[0]
