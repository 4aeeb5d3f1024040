"""A mesh proxy that dies next to a healthy application."""

from __future__ import annotations

from dataclasses import dataclass

from labs import kube
from labs.errors import LabError, TimedOut
from labs.faults.injectors.base import SETTLE, Injector, Parameters, Pods, SavedState
from labs.session import Session
from labs.topology import PlacedByRole, Role
from labs.waiting import attempts

PROXY = "linkerd-proxy"
KILLS = 3
"""How often to kill the proxy. The kubelet restarts a container immediately at first, then after ten seconds."""
NOTICE_TIMEOUT = 15.0
"""Seconds until the kubelet notices that a container has ended."""


@dataclass(frozen=True)
class ProxyKilled(PlacedByRole, Injector):
    """Kill the proxy of a Deployment's first pod until the kubelet backs off: the pod has no proxy for ten seconds."""

    role: Role
    namespace: str
    labels: str

    def unsupported_reason(self, session: Session) -> str | None:
        return session.backend.nodes.unsupported_reason("kill-container", self.cluster)

    def resolve(self, session: Session, parameters: Parameters) -> Parameters:
        pod = self._pod(session, Pods(self.role, self.namespace, self.labels).require_one(session))
        if _proxy(pod) is None:
            raise LabError(f"pod {pod['metadata']['name']} has no {PROXY}", fix="lab goto 05")
        return {"pod": pod["metadata"]["name"]}

    def affected_resources(self, parameters: Parameters) -> frozenset[str]:
        return frozenset({f"{self.cluster} pod {parameters['pod']}"})

    def inject(self, session: Session, parameters: Parameters) -> None:
        for _ in range(KILLS):
            pod = self._pod(session, parameters["pod"])
            proxy = _proxy(pod)
            if proxy is None or "waiting" in proxy["state"]:
                return
            session.backend.nodes.kill_container(self.cluster, pod, PROXY)
            self._until_noticed(session, parameters["pod"], proxy["containerID"])

    def heal(self, session: Session, parameters: Parameters, saved_state: SavedState) -> None:
        if kube.get(session.api(self.cluster), "Pod", parameters["pod"], self.namespace) is not None:
            kube.wait(session.api(self.cluster), "Pod", parameters["pod"], self.namespace, kube.ready, timeout=SETTLE)

    def _pod(self, session: Session, name: str) -> kube.Object:
        found = kube.get(session.api(self.cluster), "Pod", name, self.namespace)
        if found is None:
            raise LabError(f"pod {self.namespace}/{name} is gone", fix=f"kubectl -n {self.namespace} get pods")
        return found

    def _until_noticed(self, session: Session, name: str, container_id: str) -> None:
        for _ in attempts(NOTICE_TIMEOUT):
            proxy = _proxy(self._pod(session, name))
            if proxy is None or "running" not in proxy["state"] or proxy["containerID"] != container_id:
                return
        raise TimedOut(f"the kubelet did not notice that the proxy of {name} was killed", fix=f"kubectl describe pod {name}")


def _proxy(pod: kube.Object) -> kube.Object | None:
    """The status of the pod's proxy."""
    status = pod.get("status", {})
    rows = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next((row for row in rows if row["name"] == PROXY), None)
