"""Pods deleted without a grace period."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.errors import NotFound
from labs.faults.injectors.base import Injector, Parameters, Pods, SavedState, Target
from labs.session import Session
from labs.topology import PlacedByRole, Role


@dataclass(frozen=True)
class PodsGone(PlacedByRole, Injector):
    """Force-delete the first pod of a Deployment: its open streams break off mid-word."""

    role: Role
    namespace: str
    labels: str
    owner: str

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        pods = Pods(self.role, self.namespace, self.labels)
        names = pods.names(session)
        wanted = parameters.get("pod") or pods.require_one(session)
        if wanted not in names:
            raise NotFound("pod", str(wanted), names)
        return {"pod": wanted}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.cluster} pod {parameters['pod']}"})

    def inject(self, session: Session, parameters: Parameters) -> None:
        Pods(self.role, self.namespace, self.labels).delete(session, [parameters["pod"]], grace=0)

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        pods = Pods(self.role, self.namespace, self.labels)

        def replaced(found: kube.Object | None) -> str | None:
            missing = kube.rolled_out(found)
            if found is None or missing is not None:
                return missing
            # For a moment the Deployment's status still counts the deleted pod.
            ready = len(pods.names(session)) - len(pods.names(session, lacking=kube.ready))
            return None if ready >= found["spec"]["replicas"] else f"{ready} pods are ready"

        Target(self.role, "Deployment", self.owner, self.namespace).wait(session, replaced)
