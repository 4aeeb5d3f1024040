"""The network between the clusters: latency, loss, a partition, answers that get lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labs import kube, shell
from labs.embedded import weather
from labs.embedded.weather import Direction, Weather
from labs.errors import CommandFailed, LabError, MachineError, UsageError
from labs.faults.injectors.base import Injector, Memory, Scene, Where

WORDS = {"latency": "latency_ms", "loss": "loss_percent"}
MODULES = ("sch_prio", "sch_netem", "cls_u32")
"""What the kernel under the nodes needs for it; most load them when they are asked for."""
BAND = 3
"""The band of the priority queue that is disturbed; ordinary traffic uses the first two."""


@dataclass(frozen=True)
class Link(Injector):
    """Weather on the way from the app cluster into the gpu cluster and back.

    Where nodes are containers it is netem on their interfaces, for packets to the other cluster's nodes only; where they are
    processes, the load balancer at the gpu cluster's edge does it (``labs.embedded.weather``), so flat networking is spared.
    """

    latency: float = 0.0
    loss: float = 0.0
    lost: Sequence[Direction] = field(default_factory=tuple)
    source: str = "app"
    target: str = "gpu"

    def refusal(self, scene: Scene) -> str | None:
        can = scene.backend.can
        return None if can.netem or can.node_processes else "the network between its clusters is not the lab's to disturb"

    def resolve(self, scene: Scene, where: Where) -> Where:
        found: dict[str, Any] = {}
        for word in where:
            try:
                found[word] = float(where[word])
            except ValueError:
                raise UsageError(f"expected {word}=NUMBER; found {where[word]!r}") from None
        self.weather(found).check()
        return found

    def weather(self, where: Where) -> Weather:
        values = {name: where.get(word, getattr(self, word)) for word, name in WORDS.items()}
        return Weather(**values, lost=tuple(self.lost))

    def touches(self, where: Where) -> frozenset[str]:
        return frozenset({f"the network from {self.source} to {self.target}"})

    def inject(self, scene: Scene, where: Where) -> None:
        if scene.backend.can.node_processes:
            weather.write(self.target, self.weather(where))
            return
        try:
            for command in self._commands(scene, self.weather(where)):
                shell.run(command)
        except CommandFailed as error:
            raise _explained(error) from error

    def heal(self, scene: Scene, where: Where, memory: Memory) -> None:
        if scene.backend.can.node_processes:
            weather.write(self.target, weather.CLEAR)
            return
        for node in [*self._nodes(scene, self.source), *self._nodes(scene, self.target)]:
            shell.run(["docker", "exec", node, "sh", "-c", "tc qdisc del dev eth0 root 2>/dev/null || true"])

    def _commands(self, scene: Scene, found: Weather) -> list[list[str]]:
        sides: list[tuple[str, str, Direction]] = [
            (self.source, self.target, "requests"),
            (self.target, self.source, "answers"),
        ]
        return [
            ["docker", "exec", node, *words]
            for here, there, direction in sides
            for node in self._nodes(scene, here)
            for words in traffic_control(found, direction, list(self._nodes(scene, there).values()))
        ]

    def _nodes(self, scene: Scene, cluster: str) -> dict[str, str]:
        """Addresses of a cluster's nodes by name, which is also the name of the node's container."""
        return {
            node["metadata"]["name"]: next(row["address"] for row in node["status"]["addresses"] if row["type"] == "InternalIP")
            for node in kube.select(scene.api(cluster), "Node")
        }


def _explained(error: CommandFailed) -> LabError:
    """What ``tc`` says on a kernel without the modules, in the words of a person who could load them."""
    if not any(word in error.output for word in ("qdisc kind is unknown", "classifier not found", "filter kind is unknown")):
        return error
    return MachineError(
        f"expected a kernel that can delay packets (modules {', '.join(MODULES)}); found: {error.output.strip()}",
        fix=f"on the machine that runs Docker: sudo modprobe -a {' '.join(MODULES)}; else another failure: lab fault list",
    )


def traffic_control(found: Weather, direction: Direction, peers: Sequence[str]) -> list[list[str]]:
    """The ``tc`` command lines that put the weather on packets a node sends to ``peers``, and on no others (tc-netem(8))."""
    effect = ["delay", f"{found.latency_ms / 2:g}ms"] if found.latency_ms else []
    percent = 100.0 if direction in found.lost else found.loss_percent
    effect += ["loss", f"{percent:g}%"] if percent else []
    if not effect:
        return []
    queue = ["tc", "qdisc", "add", "dev", "eth0"]
    steer = ["tc", "filter", "add", "dev", "eth0", "parent", "1:0", "protocol", "ip", "u32"]
    return [
        [*queue, "root", "handle", "1:", "prio"],
        [*queue, "parent", f"1:{BAND}", "handle", "30:", "netem", *effect],
        *([*steer, "match", "ip", "dst", f"{peer}/32", "flowid", f"1:{BAND}"] for peer in peers),
    ]
