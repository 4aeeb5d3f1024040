"""A wrong change to an object, and back: the way most outages begin (a bad template, a scale, a lost label, a wrong policy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labs import kube
from labs.faults.injectors.base import GPU_NODE, Injector, Memory, Pods, Scene, Target, Where, choose_gpu_node

Operation = dict[str, Any]
MISSING = "missing"


@dataclass(frozen=True)
class Edit(Injector):
    """A JSON Patch (RFC 6902) of one object; what stood at the pointers ``keep`` is put back by the heal.

    A target called GPU_NODE is the node that ``where`` says, or the first with cards. ``bounce`` names pods that are deleted
    after either change, so that it counts at once; ``settle`` are workloads the heal waits for.
    """

    target: Target
    patch: Sequence[Operation]
    keep: Sequence[str]
    bounce: Sequence[Pods] = ()
    settle: Sequence[Target] = ()
    fix: str = ""

    @classmethod
    def from_row(
        cls, target: Mapping[str, str], patch: Sequence[Operation], keep: Sequence[str],
        bounce: Sequence[Mapping[str, str]] = (), settle: Sequence[Mapping[str, str]] = (), fix: str = "",
    ) -> Edit:  # fmt: skip
        """From the words of a catalogue row."""
        pods, workloads = [Pods(**row) for row in bounce], [Target(**row) for row in settle]
        return cls(Target(**target), patch, keep, pods, workloads, fix)

    def resolve(self, scene: Scene, where: Where) -> Where:
        chosen = {"node": choose_gpu_node(scene, self.target.cluster, where)} if self.target.name == GPU_NODE else {}
        self._at(chosen).require(scene, self.fix)
        return chosen

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({self._at(where).title})

    def remember(self, scene: Scene, where: Where) -> Memory:
        found = self._at(where).require(scene, self.fix)
        kept = {pointer: look_up(found, pointer) for pointer in self.keep}
        return {"kept": kept, "replica_sets": self._replica_sets(scene)}

    def inject(self, scene: Scene, where: Where) -> None:
        self._patch(scene, where, self.patch)
        self._bounce(scene)

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        found = self._at(where).get(scene)
        if found is None:
            return
        undo = [step for pointer, kept in memory["kept"].items() if (step := restoring(found, pointer, kept))]
        if undo:
            self._patch(scene, where, undo)
            self._bounce(scene)
        for workload in self.settle:
            workload.wait(scene)
        self._forget_revisions(scene, memory["replica_sets"])

    def _at(self, where: Where) -> Target:
        return replace(self.target, name=where["node"]) if self.target.name == GPU_NODE else self.target

    def _patch(self, scene: Scene, where: Where, operations: Sequence[Operation]) -> None:
        target = self._at(where)
        kube.patch(scene.api(target.cluster), target.kind, target.name, target.namespace, list(operations))

    def _bounce(self, scene: Scene) -> None:
        for pods in self.bounce:
            pods.delete(scene, pods.names(scene))

    def _replica_sets(self, scene: Scene) -> list[str]:
        """Names of the Deployment's ReplicaSets; of anything else there are none."""
        if self.target.kind != "Deployment":
            return []
        found = kube.select(scene.api(self.target.cluster), "ReplicaSet", self.target.namespace)
        return sorted(row["metadata"]["name"] for row in found if self._owns(row))

    def _owns(self, row: kube.Object) -> bool:
        owners = row["metadata"].get("ownerReferences") or []
        return any((owner["kind"], owner["name"]) == ("Deployment", self.target.name) for owner in owners)

    def _forget_revisions(self, scene: Scene, known: Sequence[str]) -> None:
        """Remove the bad revision's empty ReplicaSet: a later ``rollout undo`` must not go back to it."""
        for name in set(self._replica_sets(scene)) - set(known):
            kube.delete(scene.api(self.target.cluster), "ReplicaSet", name, self.target.namespace)


def look_up(item: Any, pointer: str) -> Any:
    """What stands at a JSON pointer (RFC 6901), wrapped as ``[value]``; ``MISSING`` if nothing does.

    >>> look_up({"a": {"b/c": [1]}}, "/a/b~1c"), look_up({"a": {}}, "/a/b")
    ([[1]], 'missing')
    """
    for part in pointer.lstrip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            item = item[int(key)] if isinstance(item, list) else item[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return MISSING
    return [item]


def restoring(found: kube.Object, pointer: str, kept: Any) -> Operation | None:
    """The operation that makes ``pointer`` as it was; None if it is so already.

    >>> restoring({"a": 2}, "/a", [1]), restoring({"a": 2}, "/a", "missing"), restoring({"a": 1}, "/a", [1])
    ({'op': 'add', 'path': '/a', 'value': 1}, {'op': 'remove', 'path': '/a'}, None)
    """
    if look_up(found, pointer) == kept:
        return None
    if kept == MISSING:
        return {"op": "remove", "path": pointer}
    return {"op": "add", "path": pointer, "value": kept[0]}
