"""More requests than the GPUs can answer."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.errors import UsageError
from labs.faults.injectors.base import Injector, Parameters, SavedState
from labs.session import Session
from labs.telemetry import job_load
from labs.telemetry.load_plan import LoadPlan
from labs.topology import PlacedByRole, Role

NAME = "fault-overload"


@dataclass(frozen=True)
class Overload(PlacedByRole, Injector):
    """A Job that sends ``rps`` requests per second through the link until the heal, for at most ``seconds``."""

    rps: float
    seconds: float = 600
    role: Role = "users"

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        try:
            rps = float(parameters.get("rps", self.rps))
        except ValueError:
            raise UsageError(f"expected rps=N, requests per second; found {parameters['rps']!r}") from None
        self._plan(rps).check()
        return {"rps": rps}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.cluster} job {NAME}"})

    def inject(self, session: Session, parameters: Parameters) -> None:
        kube.apply(session.api(self.cluster), job_load.objects(self._plan(parameters["rps"]), NAME))

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        api = session.api(self.cluster)
        if kube.delete(api, "Job", NAME, job_load.NAMESPACE):
            kube.wait(api, "Job", NAME, job_load.NAMESPACE, kube.deleted)

    def _plan(self, rps: float) -> LoadPlan:
        return LoadPlan("model", rps=rps, seconds=self.seconds, seed=7, cluster=self.cluster)
