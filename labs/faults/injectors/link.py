"""The network between the clusters: latency, packet loss, a partition, lost responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labs.errors import UsageError
from labs.faults.injectors.base import Injector, Parameters, SavedState
from labs.link_conditions import CLEAR, Direction, LinkConditions
from labs.session import Session
from labs.topology import PlacedByRole, Role

FIELDS = {"latency": "latency_ms", "loss": "loss_percent"}
"""The fault's parameters, and the fields they set."""


@dataclass(frozen=True)
class Link(PlacedByRole, Injector):
    """Degrade the network path between the app cluster and the gpu cluster, in one or both directions."""

    latency: float = 0.0
    loss: float = 0.0
    lost: Sequence[Direction] = field(default_factory=tuple)
    role: Role = "gpus"

    def unsupported_reason(self, session: Session) -> str | None:
        return session.backend.nodes.unsupported_reason("shape-link", self.cluster)

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        found: dict[str, Any] = {}
        for name in parameters:
            try:
                found[name] = float(parameters[name])
            except ValueError:
                raise UsageError(f"expected {name}=NUMBER; found {parameters[name]!r}") from None
        self.conditions(found).check()
        return found

    def conditions(self, parameters: Parameters) -> LinkConditions:
        values = {attribute: parameters.get(name, getattr(self, name)) for name, attribute in FIELDS.items()}
        return LinkConditions(**values, lost=tuple(self.lost))

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"the network to cluster {self.cluster}"})

    def inject(self, session: Session, parameters: Parameters) -> None:
        session.backend.nodes.shape_link(self.cluster, self.conditions(parameters))

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        session.backend.nodes.shape_link(self.cluster, CLEAR)
