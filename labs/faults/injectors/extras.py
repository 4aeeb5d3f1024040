"""Objects that do harm just by existing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs import kube
from labs.errors import UsageError
from labs.faults.injectors.base import GPU_NODE, Injector, Parameters, Pods, SavedState, Target, choose_gpu_node
from labs.session import Session
from labs.topology import PlacedByRole, Role

FOLDER = Path(__file__).parent.parent / "manifests"
DELETE_TIMEOUT = 60.0
"""Seconds until a namespace is gone."""


@dataclass(frozen=True)
class Extras(PlacedByRole, Injector):
    """Apply the objects in ``manifest`` (a file in labs/faults/manifests); the heal deletes them.

    Pods bound to GPU_NODE go to the node in ``parameters``, or to the first with GPUs. ``victim`` selects pods: the first is
    deleted once the objects exist, so that they affect its replacement. ``owner`` is the Deployment that replaces it. The heal
    waits for that Deployment and nudges its ReplicaSets, whose back-off grows each time the API server rejects a pod.
    """

    role: Role
    manifest: str
    victim: Mapping[str, str] | None = None
    owner: str = ""

    def objects(self) -> list[kube.Object]:
        return kube.documents(FOLDER / self.manifest)

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.cluster} {self.manifest}"})

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        bound = any(spec.get("nodeName") == GPU_NODE for spec in map(_pod_spec, self.objects()))
        chosen = {"node": choose_gpu_node(session, self.cluster, parameters)} if bound else {}
        for target in self._targets():
            if target.get(session) is not None:
                raise UsageError(f"{target.title} already exists", fix="lab fault heal --all")
        return chosen

    def inject(self, session: Session, parameters: Parameters) -> None:
        objects = self.objects()
        for spec in map(_pod_spec, objects):
            if spec.get("nodeName") == GPU_NODE:
                spec["nodeName"] = parameters["node"]
        kube.apply(session.api(self.cluster), objects)
        if self.victim:
            pods = Pods(self.role, **self.victim)
            pods.delete(session, [pods.require_one(session)])

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        for target in reversed(self._targets()):
            kube.delete(session.api(self.cluster), target.kind, target.name, target.namespace)
        for target in self._targets():
            target.wait(session, kube.deleted, DELETE_TIMEOUT)
        if self.victim and self.owner:
            self._nudge(session)
            Target(self.role, "Deployment", self.owner, self.victim["namespace"]).wait(session)

    def _targets(self) -> Sequence[Target]:
        return [
            Target(self.role, f"{row['apiVersion']}/{row['kind']}", row["metadata"]["name"], row["metadata"].get("namespace"))
            for row in self.objects()
        ]

    def _nudge(self, session: Session) -> None:
        """Change the ReplicaSets: the controller looks at a changed one immediately, whatever its back-off."""
        assert self.victim is not None
        api, namespace = session.api(self.cluster), self.victim["namespace"]
        for row in kube.select(api, "ReplicaSet", namespace, labels=self.victim["labels"]):
            for value in ("now", None):
                body = {"metadata": {"annotations": {"boring-ops-lab/nudge": value}}}
                kube.patch(api, "ReplicaSet", row["metadata"]["name"], namespace, body)


def _pod_spec(workload: kube.Object) -> dict[str, Any]:
    """A workload's pod spec, to be changed in place; empty for objects that create no pods."""
    found = workload.get("spec", {}).get("template", {}).get("spec", {})
    assert isinstance(found, dict)
    return found
