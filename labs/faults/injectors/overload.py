"""More requests than the cards can answer."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.errors import UsageError
from labs.faults.injectors.base import Injector, Memory, Scene, Where
from labs.telemetry import load

NAME = "fault-overload"


@dataclass(frozen=True)
class Overload(Injector):
    """A Job that sends ``rps`` requests a second through the link until it is healed, or ``seconds`` at most."""

    rps: float
    seconds: float = 600
    cluster: str = "app"

    def resolve(self, scene: Scene, where: Where) -> Where:
        try:
            rps = float(where.get("rps", self.rps))
        except ValueError:
            raise UsageError(f"expected rps=N, requests a second; found {where['rps']!r}") from None
        self._plan(rps).check()
        return {"rps": rps}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.cluster} job {NAME}"})

    def inject(self, scene: Scene, where: Where) -> None:
        kube.apply(scene.api(self.cluster), load.objects(self._plan(where["rps"]), NAME))

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        api = scene.api(self.cluster)
        if kube.delete(api, "Job", NAME, load.NAMESPACE):
            kube.wait(api, "Job", NAME, load.NAMESPACE, kube.deleted)

    def _plan(self, rps: float) -> load.LoadPlan:
        return load.LoadPlan("model", rps=rps, seconds=self.seconds, seed=7, cluster=self.cluster)
