"""A wrong change to an object, and its undo. Most outages begin this way: a bad template, a lost label, a wrong policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labs import kube
from labs.faults.injectors.base import GPU_NODE, Injector, Parameters, Pods, SavedState, Target, choose_gpu_node
from labs.session import Session

Operation = dict[str, Any]
MISSING = "missing"


@dataclass(frozen=True)
class Edit(Injector):
    """A JSON Patch (RFC 6902) of one object. The heal restores the values at the pointers in ``keep``.

    A target named GPU_NODE is the node in ``parameters``, or the first with GPUs. Pods in ``bounce`` are deleted after each
    change so that it takes effect immediately; the heal waits for the workloads in ``settle``.
    """

    target: Target
    patch: Sequence[Operation]
    keep: Sequence[str]
    bounce: Sequence[Pods] = ()
    settle: Sequence[Target] = ()
    fix: str = ""

    @classmethod
    def from_row(
        cls,
        target: Mapping[str, Any],
        patch: Sequence[Operation],
        keep: Sequence[str],
        bounce: Sequence[Mapping[str, Any]] = (),
        settle: Sequence[Mapping[str, Any]] = (),
        fix: str = "",
    ) -> Edit:
        """From the ``options`` of a catalogue row."""
        pods, workloads = [Pods(**row) for row in bounce], [Target(**row) for row in settle]
        return cls(Target(**target), patch, keep, pods, workloads, fix)

    @property
    def cluster(self) -> str:
        return self.target.cluster

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        chosen = {"node": choose_gpu_node(session, self.target.cluster, parameters)} if self.target.name == GPU_NODE else {}
        self._at(chosen).require(session, self.fix)
        return chosen

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({self._at(parameters).title})

    def capture_state(self, session: Session, parameters: Parameters) -> SavedState:
        found = self._at(parameters).require(session, self.fix)
        kept = {pointer: look_up(found, pointer) for pointer in self.keep}
        return {"kept": kept, "replica_sets": self._replica_sets(session)}

    def inject(self, session: Session, parameters: Parameters) -> None:
        self._patch(session, parameters, self.patch)
        self._bounce(session)

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        found = self._at(parameters).get(session)
        if found is None:
            return
        undo = [step for pointer, kept in saved_state["kept"].items() if (step := restoring(found, pointer, kept))]
        if undo:
            self._patch(session, parameters, undo)
            self._bounce(session)
        for workload in self.settle:
            workload.wait(session)
        self._forget_revisions(session, saved_state["replica_sets"])

    def _at(self, parameters: Parameters) -> Target:
        return replace(self.target, name=parameters["node"]) if self.target.name == GPU_NODE else self.target

    def _patch(self, session: Session, parameters: Parameters, operations: Sequence[Operation]) -> None:
        target = self._at(parameters)
        kube.patch(session.api(target.cluster), target.kind, target.name, target.namespace, list(operations))

    def _bounce(self, session: Session) -> None:
        for pods in self.bounce:
            pods.delete(session, pods.names(session))

    def _replica_sets(self, session: Session) -> list[str]:
        """Names of the Deployment's ReplicaSets; empty for any other kind."""
        if self.target.kind != "Deployment":
            return []
        found = kube.select(session.api(self.target.cluster), "ReplicaSet", self.target.namespace)
        return sorted(row["metadata"]["name"] for row in found if self._owns(row))

    def _owns(self, row: kube.Object) -> bool:
        owners = row["metadata"].get("ownerReferences") or []
        return any((owner["kind"], owner["name"]) == ("Deployment", self.target.name) for owner in owners)

    def _forget_revisions(self, session: Session, known: Sequence[str]) -> None:
        """Delete the bad revision's empty ReplicaSet, so that a later ``rollout undo`` cannot return to it."""
        for name in set(self._replica_sets(session)) - set(known):
            kube.delete(session.api(self.target.cluster), "ReplicaSet", name, self.target.namespace)


def look_up(item: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), wrapped as ``[value]``; ``MISSING`` if there is none.

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
    """The operation that restores the value at ``pointer``; None if it has not changed.

    >>> restoring({"a": 2}, "/a", [1]), restoring({"a": 2}, "/a", "missing"), restoring({"a": 1}, "/a", [1])
    ({'op': 'add', 'path': '/a', 'value': 1}, {'op': 'remove', 'path': '/a'}, None)
    """
    if look_up(found, pointer) == kept:
        return None
    if kept == MISSING:
        return {"op": "remove", "path": pointer}
    return {"op": "add", "path": pointer, "value": kept[0]}
