"""Pods that vanish without a goodbye."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.errors import NotFound
from labs.faults.injectors.base import Injector, Memory, Pods, Scene, Target, Where


@dataclass(frozen=True)
class PodsGone(Injector):
    """Delete the first pod of a Deployment with no grace: its open streams break off in the middle of a word."""

    cluster: str
    namespace: str
    labels: str
    owner: str

    def resolve(self, scene: Scene, where: Where) -> Where:
        pods = Pods(self.cluster, self.namespace, self.labels)
        names = pods.names(scene)
        wanted = where.get("pod") or pods.require_one(scene)
        if wanted not in names:
            raise NotFound("pod", str(wanted), names)
        return {"pod": wanted}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.cluster} pod {where['pod']}"})

    def inject(self, scene: Scene, where: Where) -> None:
        Pods(self.cluster, self.namespace, self.labels).delete(scene, [where["pod"]], grace=0)

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        pods = Pods(self.cluster, self.namespace, self.labels)

        def replaced(found: kube.Object | None) -> str | None:
            missing = kube.rolled_out(found)
            if found is None or missing is not None:
                return missing
            # For a moment the Deployment's status still counts the pod that is gone.
            ready = len(pods.names(scene)) - len(pods.names(scene, lacking=kube.ready))
            return None if ready >= found["spec"]["replicas"] else f"{ready} pods are ready"

        Target(self.cluster, "Deployment", self.owner, self.namespace).wait(scene, replaced)
