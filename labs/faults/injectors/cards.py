"""Faults of simulated cards, set in the GPU simulator of their node."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labs import kube
from labs.errors import LabError, NotFound, UsageError
from labs.faults.injectors.base import Injector, Memory, Scene, Target, Where
from labs.faults.simulators import Simulators

RESTARTED = 40.0
"""Seconds a heal waits for a server to be back on its card."""
POLL = 0.5


@dataclass(frozen=True)
class SimulatedGpu(Injector):
    """A fault of one simulated card, set in its node's GPU simulator over ``kubectl exec``.

    Without ``gpu`` it takes a card that a pod uses, since one that idles shows little; without ``node`` the first that has it.
    """

    fault: str
    cluster: str = "gpu"

    def resolve(self, scene: Scene, where: Where) -> Where:
        node, index = where.get("node"), _index(where.get("gpu"))
        found = self._simulators(scene).on(None if node is None else str(node))
        return self._choose(found.cards(), index)

    def _choose(self, cards: list[tuple[str, dict[str, Any]]], index: int | None) -> Where:
        named = [(name, card) for name, card in cards if index in (None, card["index"])]
        if not named:
            raise NotFound("GPU", str(index), sorted({str(card["index"]) for _, card in cards}))
        busy = [(name, card) for name, card in named if card["pods"]]
        if index is None and not busy:
            raise UsageError("no pod uses a GPU, so no card was chosen", fix='name one: gpu=0, node="gpu-worker"')
        node, card = (busy or named)[0]
        return {"gpu": card["index"], "node": node}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.fault} of gpu {where['gpu']} of {where['node']}"})

    def remember(self, scene: Scene, where: Where) -> Memory:
        return {"pods": self._card(scene, where)["pods"]}

    def inject(self, scene: Scene, where: Where) -> None:
        self._set(scene, where, "inject")

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        """Mend the card, and wait for the pods that used it, as far as they still exist: some must start anew to find it well.

        One that Kubernetes holds back after its second failure is replaced: a new pod starts at once.
        """
        self._set(scene, where, "heal")
        owners: list[Target] = []
        deadline = time.monotonic() + RESTARTED
        while (waited_for := self._waited_for(scene, where, memory)) and time.monotonic() < deadline:
            owners += [owner for pod in waited_for if (owner := self._replace(scene, pod))]
            time.sleep(POLL)
        for owner in owners:
            owner.wait(scene, kube.replicas_ready)

    def _waited_for(self, scene: Scene, where: Where, memory: Memory) -> list[kube.Object]:
        """Pods that are not Ready; once all are, those that the card does not know yet. To ask the card takes longest."""
        names = memory.get("pods", [])
        pods = [pod for name in names for pod in kube.select(scene.api(self.cluster), "Pod", fields=f"metadata.name={name}")]
        if not_ready := [pod for pod in pods if kube.ready(pod) is not None]:
            return not_ready
        return pods if pods and not set(names) <= set(self._card(scene, where)["pods"]) else []

    def _replace(self, scene: Scene, pod: kube.Object) -> Target | None:
        """Delete the pod if it is held back and somebody makes another; who that is."""
        meta = pod.get("metadata", {})
        owners = [row["name"] for row in meta.get("ownerReferences", []) if row["kind"] == "ReplicaSet"]
        if not owners or meta.get("deletionTimestamp") or not kube.held_back(pod):
            return None
        kube.delete(scene.api(self.cluster), "Pod", meta["name"], meta["namespace"])
        return Target(self.cluster, "ReplicaSet", owners[0], meta["namespace"])

    def _card(self, scene: Scene, where: Where) -> dict[str, Any]:
        cards = self._simulators(scene).on(where["node"]).cards()
        return next(card for _, card in cards if card["index"] == where["gpu"])

    def _set(self, scene: Scene, where: Where, action: str) -> None:
        found = self._simulators(scene)
        if where["node"] not in found.pods:
            raise LabError(
                f"the GPU simulator of node {where['node']} does not run",
                fix=f"kubectl --context gpu describe node {where['node']}",
            )
        found.ctl(where["node"], "fault", action, "--gpu", str(where["gpu"]), "--fault", self.fault)

    def serving(self, scene: Scene) -> pd.DataFrame:
        """The cards that pods use: a row each with ``pod``, ``node`` and ``gpu``, the index on the node."""
        rows = [
            {"pod": pod.rpartition("/")[2], "node": node, "gpu": card["index"]}
            for node, card in self._simulators(scene).cards()
            for pod in card["pods"]
        ]
        return pd.DataFrame(rows, columns=["pod", "node", "gpu"])

    def _simulators(self, scene: Scene) -> Simulators:
        return Simulators.of(scene.clusters[self.cluster])


def _index(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        raise UsageError(f"expected gpu=N, the card's index on its node; found {value!r}") from None


def serving_gpus(scene: Scene) -> pd.DataFrame:
    """The simulated cards that pods use; see ``SimulatedGpu.serving``."""
    return SimulatedGpu("").serving(scene)
