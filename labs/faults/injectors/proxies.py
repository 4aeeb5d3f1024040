"""A mesh proxy that dies beside a healthy application."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from labs import kube, shell
from labs.errors import LabError, TimedOut
from labs.faults.injectors.base import SETTLE, Injector, Memory, Pods, Scene, Where

PROXY = "linkerd-proxy"
KILLS = 3
"""The first restarts at once, the second after ten seconds: the kubelet's back-off."""
POLL = 0.3
NOTICED = 15.0
"""Seconds the kubelet may take to see that a container ended."""


@dataclass(frozen=True)
class ProxyKilled(Injector):
    """Kill the proxy of a Deployment's first pod until the kubelet backs off: for ten seconds the pod has none."""

    cluster: str
    namespace: str
    labels: str

    def refusal(self, scene: Scene) -> str | None:
        can = scene.backend.can
        return None if can.node_processes or can.netem else "its nodes are not the lab's to reach into"

    def resolve(self, scene: Scene, where: Where) -> Where:
        pod = self._pod(scene, Pods(self.cluster, self.namespace, self.labels).require_one(scene))
        if _proxy(pod) is None:
            raise LabError(f"pod {pod['metadata']['name']} has no {PROXY}", fix="lab goto 05")
        return {"pod": pod["metadata"]["name"]}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.cluster} pod {where['pod']}"})

    def inject(self, scene: Scene, where: Where) -> None:
        for _ in range(KILLS):
            pod = self._pod(scene, where["pod"])
            proxy = _proxy(pod)
            if proxy is None or "waiting" in proxy["state"]:
                return
            self._kill(scene, pod, proxy)
            self._until_noticed(scene, where["pod"], proxy["containerID"])

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        if kube.get(scene.api(self.cluster), "Pod", where["pod"], self.namespace) is not None:
            kube.wait(scene.api(self.cluster), "Pod", where["pod"], self.namespace, kube.ready, timeout=SETTLE)

    def _pod(self, scene: Scene, name: str) -> kube.Object:
        found = kube.get(scene.api(self.cluster), "Pod", name, self.namespace)
        if found is None:
            raise LabError(f"pod {self.namespace}/{name} is gone", fix=f"kubectl -n {self.namespace} get pods")
        return found

    def _kill(self, scene: Scene, pod: kube.Object, proxy: kube.Object) -> None:
        if scene.backend.can.node_processes:
            root = f"/pods/{pod['metadata']['uid']}/containers/{PROXY}/root"
            for process in processes_with_root(root):
                process.kill()
        else:
            container = proxy["containerID"].rpartition("/")[2]
            shell.run(["docker", "exec", pod["spec"]["nodeName"], "crictl", "stop", "--timeout", "0", container])

    def _until_noticed(self, scene: Scene, name: str, container_id: str) -> None:
        deadline = time.monotonic() + NOTICED
        while True:
            proxy = _proxy(self._pod(scene, name))
            if proxy is None or "running" not in proxy["state"] or proxy["containerID"] != container_id:
                return
            if time.monotonic() > deadline:
                raise TimedOut(f"the kubelet did not notice that the proxy of {name} was killed", fix="kubectl describe pod")
            time.sleep(POLL)


def _proxy(pod: kube.Object) -> kube.Object | None:
    """The status of the pod's proxy."""
    status = pod.get("status", {})
    rows = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next((row for row in rows if row["name"] == PROXY), None)


def processes_with_root(root: str) -> list[psutil.Process]:
    """Processes of the container whose root folder ends so: every one got the folder as a variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CONTAINER_ROOT", "").endswith(root):
                found.append(process)
        except psutil.Error:  # another user's, or gone
            continue
    return found
