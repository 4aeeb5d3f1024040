"""Machines that stop responding without closing a connection. Nothing exits, so thawing restores exactly what was there."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.clusters.nodes import Action, Part
from labs.errors import NotFound
from labs.faults.injectors.base import Injector, Parameters, SavedState
from labs.session import Session
from labs.topology import PlacedByRole, Role

READY_TIMEOUT = 60.0
"""Seconds until each node is Ready again."""
ACTIONS: dict[Part, Action] = {"node": "freeze", "control-plane": "freeze-control-plane"}


@dataclass(frozen=True)
class Frozen(PlacedByRole, Injector):
    """Freeze one worker node with all its pods, or a cluster's control plane (``what``).

    Freezing a control plane stops only its own programs, not the pods on the same node.
    """

    what: Part
    role: Role = "gpus"

    def unsupported_reason(self, session: Session) -> str | None:
        return session.backend.nodes.unsupported_reason(ACTIONS[self.what], self.cluster)

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        nodes = session.backend.nodes.list(self.cluster)
        known = [node.name for node in nodes if node.control_plane == (self.what == "control-plane")]
        chosen = parameters.get("node", known[0])
        if chosen not in known:
            raise NotFound("node to freeze", str(chosen), known)
        return {"node": chosen}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.cluster} {self.what} {parameters['node']}"})

    def inject(self, session: Session, parameters: Parameters) -> None:
        session.backend.nodes.freeze(self.cluster, parameters["node"], self.what)

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        session.backend.nodes.thaw(self.cluster, parameters["node"], self.what)
        for node in self._affected_nodes(session, parameters):
            kube.wait(session.api(self.cluster), "Node", node, None, kube.ready, timeout=READY_TIMEOUT)

    def _affected_nodes(self, session: Session, parameters: Parameters) -> list[str]:
        """Nodes that must become Ready again: a control plane that was frozen considers all of its nodes lost at first."""
        if self.what == "node":
            return [parameters["node"]]
        return [node.name for node in session.backend.nodes.list(self.cluster)]
