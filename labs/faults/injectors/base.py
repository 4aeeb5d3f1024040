"""The interface of injectors, and the helpers they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labs import kube
from labs.errors import LabError, NotFound
from labs.session import Session
from labs.topology import PlacedByRole, Role

Parameters = dict[str, Any]
"""What a caller chose for a fault (a node, a rate); JSON."""
SavedState = dict[str, Any]
"""What the heal needs to restore; JSON, because it outlives the process in the journal."""
GPU_NODE = "GPU_NODE"
"""Placeholder in rows and manifests for a node with GPUs: each backend names its nodes differently."""
GPU_PRESENT = "nvidia.com/gpu.present=true"
SETTLE = 90.0
"""Seconds a heal waits for what it restored to be in service again."""


class Injector:
    """One kind of failure. The defaults fit one without parameters or saved state."""

    @property
    def cluster(self) -> str:
        """The name of the cluster where it breaks something and must be healed."""
        raise NotImplementedError

    def unsupported_reason(self, session: Session) -> str | None:
        """Why this backend cannot inject it, or None if it can."""
        return None

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        """Validate ``parameters`` and complete them with defaults; changes nothing.

        Raises:
            UsageError, NotFound: a value is invalid, or names something that does not exist.
        """
        return parameters

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        """Names of what it changes. A second fault on the same resource is rejected, because the two could not both be undone."""
        return frozenset()

    def capture_state(self, session: Session, parameters: Parameters) -> SavedState:
        """What the heal needs to restore; read and stored before anything breaks."""
        return {}

    def inject(self, session: Session, parameters: Parameters) -> None:
        """Inject it with parameters that ``resolve`` returned."""
        raise NotImplementedError

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        """Undo it and wait until everything affected is in service again; harmless if it is healed already."""
        raise NotImplementedError


@dataclass(frozen=True)
class Target(PlacedByRole):
    """One object of one cluster."""

    role: Role
    kind: str
    name: str
    namespace: str | None = None

    @property
    def title(self) -> str:
        return (
            f"{self.cluster} {self.kind.rpartition('/')[2].lower()} {f'{self.namespace}/' if self.namespace else ''}{self.name}"
        )

    def get(self, session: Session) -> kube.Object | None:
        return kube.get(session.api(self.cluster), self.kind, self.name, self.namespace)

    def require(self, session: Session, fix: str = "") -> kube.Object:
        """The object.

        Raises:
            NotFound: there is none.
        """
        found = self.get(session)
        if found is None:
            short = self.kind.rpartition("/")[2]
            raise NotFound(f"{short} in cluster {self.cluster}", f"{self.namespace or ''}/{self.name}".lstrip("/"), fix=fix)
        return found

    def wait(self, session: Session, until: kube.Condition = kube.rolled_out, timeout: float = SETTLE) -> None:
        kube.wait(session.api(self.cluster), self.kind, self.name, self.namespace, until, timeout=timeout)


def choose_gpu_node(session: Session, cluster: str, parameters: Parameters) -> str:
    """The node with GPUs that ``parameters`` names, or the first one.

    Raises:
        NotFound: the cluster has no such node, or it has no GPUs.
    """
    known = sorted(row["metadata"]["name"] for row in kube.select(session.api(cluster), "Node", labels=GPU_PRESENT))
    chosen = str(parameters.get("node", known[0] if known else "any"))
    if chosen not in known:
        raise NotFound(f"node with GPUs in cluster {cluster}", chosen, known)
    return chosen


@dataclass(frozen=True)
class Pods(PlacedByRole):
    """The pods that a label selector matches."""

    role: Role
    namespace: str
    labels: str

    def names(self, session: Session, lacking: kube.Condition | None = None) -> list[str]:
        """Those that are not terminating, sorted; with ``lacking`` only those that do not meet that condition."""
        found = kube.select(session.api(self.cluster), "Pod", self.namespace, labels=self.labels)
        staying = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
        return sorted(pod["metadata"]["name"] for pod in staying if lacking is None or lacking(pod) is not None)

    def delete(self, session: Session, names: Sequence[str], *, grace: int | None = None) -> None:
        for name in names:
            kube.delete(session.api(self.cluster), "Pod", name, self.namespace, grace=grace)

    def replace(self, session: Session) -> None:
        """Delete all of them and wait until they are gone; until then their owner's status may still count them as ready."""
        names = self.names(session)
        self.delete(session, names)
        for name in names:
            kube.wait(session.api(self.cluster), "Pod", name, self.namespace, kube.deleted, timeout=SETTLE)

    def require_one(self, session: Session) -> str:
        """The name of the first pod.

        Raises:
            LabError: there is none.
        """
        names = self.names(session)
        if not names:
            command = f"kubectl --context {self.cluster} -n {self.namespace} get pods"
            raise LabError(f"no pod with {self.labels} in {self.namespace} of cluster {self.cluster}", fix=command)
        return names[0]
