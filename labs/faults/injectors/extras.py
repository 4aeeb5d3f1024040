"""Objects that somebody adds and that do harm by being there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs import kube
from labs.errors import UsageError
from labs.faults.injectors.base import GPU_NODE, Injector, Memory, Pods, Scene, Target, Where, choose_gpu_node

FOLDER = Path(__file__).parent.parent / "manifests"
GONE = 60.0
"""Seconds a namespace may take to go."""


@dataclass(frozen=True)
class Extras(Injector):
    """Apply the objects of ``manifest`` (a file in labs/faults/manifests) and delete them again.

    Pods of the node GPU_NODE go to the node that ``where`` says, or to the first with cards.
    ``victim`` is a selector: its first pod is deleted once the objects are there, so that its replacement meets them. ``owner``
    is what replaces it; the heal nudges its ReplicaSets, which wait ever longer after each refusal, and waits for them.
    """

    cluster: str
    manifest: str
    victim: Mapping[str, str] | None = None
    owner: str = ""

    def objects(self) -> list[kube.Object]:
        return kube.documents(FOLDER / self.manifest)

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.cluster} {self.manifest}"})

    def resolve(self, scene: Scene, where: Where) -> Where:
        bound = any(spec.get("nodeName") == GPU_NODE for spec in map(_pod_spec, self.objects()))
        chosen = {"node": choose_gpu_node(scene, self.cluster, where)} if bound else {}
        for target in self._targets():
            if target.get(scene) is not None:
                raise UsageError(f"{target.title} exists already", fix="lab fault heal --all")
        return chosen

    def inject(self, scene: Scene, where: Where) -> None:
        objects = self.objects()
        for spec in map(_pod_spec, objects):
            if spec.get("nodeName") == GPU_NODE:
                spec["nodeName"] = where["node"]
        kube.apply(scene.api(self.cluster), objects)
        if self.victim:
            pods = Pods(self.cluster, **self.victim)
            pods.delete(scene, [pods.require_one(scene)])

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        for target in reversed(self._targets()):
            kube.delete(scene.api(self.cluster), target.kind, target.name, target.namespace)
        for target in self._targets():
            target.wait(scene, kube.deleted, GONE)
        if self.victim and self.owner:
            self._nudge(scene)
            Target(self.cluster, "Deployment", self.owner, self.victim["namespace"]).wait(scene)

    def _targets(self) -> Sequence[Target]:
        return [
            Target(self.cluster, f"{row['apiVersion']}/{row['kind']}", row["metadata"]["name"], row["metadata"].get("namespace"))
            for row in self.objects()
        ]

    def _nudge(self, scene: Scene) -> None:
        """A ReplicaSet that changes is looked at at once, whatever its back-off says."""
        assert self.victim is not None
        api, namespace = scene.api(self.cluster), self.victim["namespace"]
        for row in kube.select(api, "ReplicaSet", namespace, labels=self.victim["labels"]):
            for value in ("now", None):
                body = {"metadata": {"annotations": {"boring-ops-lab/nudge": value}}}
                kube.patch(api, "ReplicaSet", row["metadata"]["name"], namespace, body)


def _pod_spec(workload: kube.Object) -> dict[str, Any]:
    """The pods' spec in a workload, to be changed in place; empty for objects that make no pods."""
    found = workload.get("spec", {}).get("template", {}).get("spec", {})
    assert isinstance(found, dict)
    return found
