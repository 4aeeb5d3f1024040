"""Machines that fall silent: no answer, no reset, no goodbye. Nothing ends, so thawing brings back exactly what was there."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from labs import config, kube, shell
from labs.clusters.base import CONTROL_PLANE
from labs.embedded import control
from labs.errors import NotFound
from labs.faults.injectors.base import Injector, Memory, Scene, Where

PROGRAMS = ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
NAMES_IN_A_CONTAINER = "kube-apiserver|kube-scheduler|kube-controller"
"""As the kernel keeps them: the first 15 characters."""
READY_AGAIN = 60.0


@dataclass(frozen=True)
class Frozen(Injector):
    """Freeze one worker node with all its pods, or a cluster's control plane (``what``: ``"node"`` or ``"control-plane"``).

    Where a node is a tree of processes they are stopped (SIGSTOP); where it is a container, Docker pauses it. Of a control plane
    only its three programs stop, not the pods beside them.
    """

    what: str
    cluster: str = "gpu"

    def refusal(self, scene: Scene) -> str | None:
        can = scene.backend.can
        if not (can.node_processes or can.netem):
            return "its nodes are not the lab's to stop"
        if self.what == "control-plane" and scene.backend.name == "k3d":
            return "k3s is one process: control plane, kubelet and the way to pods' logs would stop together"
        return None

    def resolve(self, scene: Scene, where: Where) -> Where:
        known = self._names(scene, control_plane=self.what == "control-plane")
        chosen = where.get("node", known[0])
        if chosen not in known:
            raise NotFound("node to freeze", str(chosen), known)
        return {"node": chosen}

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"{self.cluster} {self.what} {where['node']}"})

    def inject(self, scene: Scene, where: Where) -> None:
        if scene.backend.can.node_processes:
            _signal(self._processes(where), signal.SIGSTOP)
        elif self.what == "node":
            shell.run(["docker", "pause", where["node"]])
        else:
            shell.run(["docker", "exec", where["node"], "pkill", "-STOP", "-x", NAMES_IN_A_CONTAINER])

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        if scene.backend.can.node_processes:
            _signal(self._processes(where), signal.SIGCONT)
        elif self.what == "control-plane":
            shell.run(["docker", "exec", where["node"], "pkill", "-CONT", "-x", NAMES_IN_A_CONTAINER])
        elif shell.run(["docker", "inspect", "-f", "{{.State.Paused}}", where["node"]]).strip() == "true":
            shell.run(["docker", "unpause", where["node"]])
        for node in self._nodes(scene, where):
            kube.wait(scene.api(self.cluster), "Node", node, None, kube.ready, timeout=READY_AGAIN)

    def _nodes(self, scene: Scene, where: Where) -> list[str]:
        """Nodes that must be Ready again: a control plane that slept takes all of them for silent at first."""
        if self.what == "node":
            return [where["node"]]
        return [*self._names(scene, control_plane=True), *self._names(scene, control_plane=False)]

    def _names(self, scene: Scene, *, control_plane: bool) -> list[str]:
        """Of nodes that are processes as the lab calls them; a container has the name of its node, which its tool chose."""
        if scene.backend.can.node_processes:
            nodes = [node for spec in config.topology() if spec.name == self.cluster for node in spec.nodes]
            return [node.name for node in nodes if node.control_plane == control_plane]
        rows = [row["metadata"] for row in kube.select(scene.api(self.cluster), "Node")]
        return sorted(row["name"] for row in rows if (CONTROL_PLANE in row["labels"]) == control_plane)

    def _processes(self, where: Where) -> list[psutil.Process]:
        """The children of the supervisor that are meant, with all below them, parents first."""
        names = [where["node"]] if self.what == "node" else PROGRAMS
        wanted = {f"{self.cluster}/{name}" for name in names}
        found = []
        for row in control.status()["children"]:
            if row["name"] in wanted and row["pid"]:
                process = psutil.Process(row["pid"])
                found += [process, *process.children(recursive=True)]
        return found


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:  # it ended by itself meanwhile
            continue
