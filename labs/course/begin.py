"""``lab.begin("04")``: what a notebook does before its first step.

It removes what an interrupted run left behind, and then checks whether everything that the notebook builds on exists. So a
notebook can be repeated, or continued after a kernel restart, and a step that cannot work says so before it waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labs import kube
from labs.course import gpu_room, leftovers
from labs.course.notebooks import find
from labs.errors import NotRunning
from labs.lab import Lab

CLUSTERS_BY, GPUS_BY = "01", "02"
"""The notebooks that create the clusters and the GPUs."""
FIRST_WITH_GPUS = "03"
"""From this notebook on, nodes must offer GPUs."""
TEARDOWN = "99"
"""Builds on nothing: a lab can be taken down at any time."""
MODEL_SERVERS = 2
"""GPUs that the Deployment ``model-server`` takes: one per replica."""


@dataclass(frozen=True)
class Need:
    """An object that a notebook makes (``made_by``) and all later ones build on."""

    made_by: str
    cluster: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.namespace}/{self.name} in cluster {self.cluster} (notebook {self.made_by})"

    def is_met(self, lab: Lab) -> bool:
        return kube.get(lab.cluster(self.cluster).api, self.kind, self.name, self.namespace) is not None


NEEDS = (
    Need("03", "gpu", "Deployment", "ml", "model-server"),
    Need("03", "gpu", "Deployment", "monitoring", "prometheus"),
    Need("04", "app", "Deployment", "linkerd", "linkerd-destination"),
    Need("04", "gpu", "Deployment", "linkerd", "linkerd-destination"),
    Need("04", "app", "Deployment", "monitoring", "prometheus"),
    Need("05", "gpu", "Deployment", "linkerd-multicluster", "linkerd-gateway"),
    Need("05", "app", "Deployment", "shop", "chat"),
)


def builds_on(number: str) -> list[str]:
    """The numbers of the notebooks whose objects notebook ``number`` needs."""
    if number == TEARDOWN:
        return []
    made = {CLUSTERS_BY, *(need.made_by for need in NEEDS)} | ({GPUS_BY} if number >= FIRST_WITH_GPUS else set())
    return sorted(earlier for earlier in made if earlier < number)


def begin(lab: Lab, number: str) -> None:
    """Remove what an interrupted run left behind (a line for each thing), and check what notebook ``number`` needs.

    Raises:
        NotFound: there is no such notebook.
        NotRunning: something that an earlier notebook makes is missing; the message lists it.
        Taken: others hold the GPUs that the model server of notebook 03 needs.
    """
    notebook = find(number).number
    for line in leftovers.put_away(lab, notebook):
        print(f"removed what an earlier run left behind: {line}")
    require_needs(lab, notebook)
    if notebook == FIRST_WITH_GPUS and not _is_served(lab):
        gpu_room.require(lab.gpu, MODEL_SERVERS, "the model server")


def require_needs(lab: Lab, notebook: str) -> None:
    """Check what ``begin`` checks of the earlier notebooks, and change nothing.

    Raises:
        NotRunning: something that an earlier notebook makes is missing; the message lists it.
    """
    if notebook != TEARDOWN and (missing := list(missing_needs(lab, notebook))):
        raise NotRunning(f"notebook {notebook} needs something that is missing: {'; '.join(missing)}", fix=f"lab goto {notebook}")


def missing_needs(lab: Lab, notebook: str) -> Iterator[str]:
    """What notebook ``notebook`` builds on and is missing."""
    if notebook >= FIRST_WITH_GPUS and not gpu_room.offered(lab.gpu):
        yield "nodes that offer GPUs (notebook 02)"
    yield from (str(need) for need in NEEDS if need.made_by < notebook and not need.is_met(lab))


def _is_served(lab: Lab) -> bool:
    """Whether the model server has its GPUs already."""
    found: dict[str, Any] | None = kube.get(lab.gpu.api, "Deployment", "model-server", "ml")
    return found is not None and found.get("status", {}).get("readyReplicas", 0) >= MODEL_SERVERS
