"""Faults of simulated GPUs, set in the simulator on their node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from labs import kube
from labs.errors import LabError, NotFound, UsageError
from labs.faults.injectors.base import Injector, Parameters, SavedState, Target
from labs.faults.simulators import Simulators
from labs.session import Session
from labs.topology import PlacedByRole, Role
from labs.waiting import attempts

RESTART_TIMEOUT = 40.0
"""Seconds a heal waits until a server is back on its GPU."""
INTERVAL = 0.5
"""Seconds between checks; each one runs a command in a pod."""


@dataclass(frozen=True)
class SimulatedGpu(PlacedByRole, Injector):
    """A fault of one simulated GPU, set through ``kubectl exec`` in the simulator on its node.

    Without ``gpu``, it picks a GPU that a pod uses, because an idle one shows little; without ``node``, it picks the first match.
    """

    fault: str
    role: Role = "gpus"

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        node, index = parameters.get("node"), _index(parameters.get("gpu"))
        found = self._simulators(session).on(None if node is None else str(node))
        return self._choose(found.gpus(), index)

    def _choose(self, gpus: list[tuple[str, dict[str, Any]]], index: int | None) -> Parameters:
        named = [(name, gpu) for name, gpu in gpus if index in (None, gpu["index"])]
        if not named:
            raise NotFound("GPU", str(index), sorted({str(gpu["index"]) for _, gpu in gpus}))
        busy = [(name, gpu) for name, gpu in named if gpu["pods"]]
        if index is None and not busy:
            raise UsageError("no pod uses a GPU, so none was chosen", fix='choose one: gpu=0, node="gpu-worker"')
        node, gpu = (busy or named)[0]
        return {"gpu": gpu["index"], "node": node}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.fault} on GPU {parameters['gpu']} of {parameters['node']}"})

    def capture_state(self, session: Session, parameters: Parameters) -> SavedState:
        return {"pods": self._gpu(session, parameters)["pods"]}

    def inject(self, session: Session, parameters: Parameters) -> None:
        self._set(session, parameters, "inject")

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        """Heal the GPU and wait for the pods that used it, if they still exist: some must restart before they can use it again.

        A pod that waits in crash-loop back-off is replaced, because a new pod starts immediately.
        """
        self._set(session, parameters, "heal")
        owners: list[Target] = []
        for _ in attempts(RESTART_TIMEOUT, INTERVAL):
            waited_for = self._waited_for(session, parameters, saved_state)
            if not waited_for:
                break
            owners += [owner for pod in waited_for if (owner := self._replace(session, pod))]
        for owner in owners:
            owner.wait(session, kube.replicas_ready)

    def _waited_for(self, session: Session, parameters: Parameters, saved_state: SavedState) -> list[kube.Object]:
        """Pods that are not Ready; once all are, those that the GPU does not list yet. Asking the GPU is slow, so do it last."""
        names = saved_state.get("pods", [])
        pods = [pod for name in names for pod in kube.select(session.api(self.cluster), "Pod", fields=f"metadata.name={name}")]
        if not_ready := [pod for pod in pods if kube.ready(pod) is not None]:
            return not_ready
        return pods if pods and not set(names) <= set(self._gpu(session, parameters)["pods"]) else []

    def _replace(self, session: Session, pod: kube.Object) -> Target | None:
        """Delete the pod if it is in crash-loop back-off and a ReplicaSet replaces it; returns that ReplicaSet."""
        meta = pod.get("metadata", {})
        owners = [row["name"] for row in meta.get("ownerReferences", []) if row["kind"] == "ReplicaSet"]
        if not owners or meta.get("deletionTimestamp") or not kube.in_crash_loop(pod):
            return None
        kube.delete(session.api(self.cluster), "Pod", meta["name"], meta["namespace"])
        return Target(self.role, "ReplicaSet", owners[0], meta["namespace"])

    def _gpu(self, session: Session, parameters: Parameters) -> dict[str, Any]:
        gpus = self._simulators(session).on(parameters["node"]).gpus()
        for _, gpu in gpus:
            if gpu["index"] == parameters["gpu"]:
                return gpu
        raise NotFound(f"GPU on node {parameters['node']}", str(parameters["gpu"]), [str(gpu["index"]) for _, gpu in gpus])

    def _set(self, session: Session, parameters: Parameters, action: str) -> None:
        found = self._simulators(session)
        if parameters["node"] not in found.pods:
            raise LabError(
                f"the GPU simulator on node {parameters['node']} is not running",
                fix=f"kubectl --context gpu describe node {parameters['node']}",
            )
        found.ctl(parameters["node"], "fault", action, "--gpu", str(parameters["gpu"]), "--fault", self.fault)

    def serving(self, session: Session) -> pd.DataFrame:
        """The GPUs that pods use: one row each, with ``pod``, ``node`` and ``gpu``, the index on the node."""
        rows = [
            {"pod": pod.rpartition("/")[2], "node": node, "gpu": gpu["index"]}
            for node, gpu in self._simulators(session).gpus()
            for pod in gpu["pods"]
        ]
        return pd.DataFrame(rows, columns=["pod", "node", "gpu"])

    def _simulators(self, session: Session) -> Simulators:
        return Simulators.of(session.clusters[self.cluster])


def _index(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        raise UsageError(f"expected gpu=N, the GPU's index on its node; found {value!r}") from None


def serving_gpus(session: Session) -> pd.DataFrame:
    """The simulated GPUs that pods use; see ``SimulatedGpu.serving``."""
    return SimulatedGpu("").serving(session)
