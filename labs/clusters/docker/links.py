"""Link conditions between clusters of node containers: netem on the nodes' interfaces, for packets to the other side only."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labs import errors, link_conditions
from labs.clusters.docker.engine import docker
from labs.clusters.docker.node_containers import NodeContainer
from labs.link_conditions import Direction, LinkConditions

KERNEL_MODULES = ("sch_prio", "sch_netem", "cls_u32")
"""What the engine's kernel needs; most kernels load them on demand."""
ORDINARY_BANDS = 3
"""Bands of the queueing discipline prio that its default map sends ordinary packets to; shaped traffic gets bands of its own."""
CLEAR_COMMAND = "tc qdisc del dev eth0 root 2>/dev/null || true"

Clusters = Mapping[str, Sequence[NodeContainer]]


@dataclass(frozen=True)
class Shape:
    """netem's parameters for packets that a node sends to ``peers`` (addresses)."""

    effect: tuple[str, ...]
    peers: tuple[str, ...]


def shape(clusters: Clusters, cluster: str, conditions: LinkConditions) -> None:
    """Set the conditions on the link into ``cluster``, and make the interfaces of all nodes agree with what is set.

    Raises:
        MachineError: the kernel under the nodes has no netem.
    """
    before = link_conditions.read(cluster)
    link_conditions.write(cluster, conditions)
    try:
        apply(clusters)
    except errors.LabError:
        link_conditions.write(cluster, before)
        raise


def apply(clusters: Clusters) -> None:
    """Make the interfaces of all nodes agree with ``labs.link_conditions``; a restarted container has lost its settings."""
    set_now = link_conditions.read_all()
    for name, nodes in clusters.items():
        commands = [CLEAR_COMMAND, *map(shlex.join, traffic_control(shapes(clusters, name, set_now)))]
        for node in nodes:
            if node.runs:
                _run(node.name, commands)


def shapes(clusters: Clusters, here: str, conditions: Mapping[str, LinkConditions]) -> list[Shape]:
    """What nodes of cluster ``here`` do to the packets that they send, link by link.

    Nodes of the shaped cluster send answers to all others; the others send requests to it.
    """
    found = []
    for target, wanted in conditions.items():
        direction: Direction = "answers" if here == target else "requests"
        there = [name for name in clusters if name != target] if here == target else [target]
        peers = tuple(node.address for name in there for node in clusters.get(name, []) if node.address)
        if (effect := _effect(wanted, direction)) and peers:
            found.append(Shape(effect, peers))
    return found


def _effect(conditions: LinkConditions, direction: Direction) -> tuple[str, ...]:
    delay = ("delay", f"{conditions.latency_ms / 2:g}ms") if conditions.latency_ms else ()
    percent = 100.0 if direction in conditions.lost else conditions.loss_percent
    return (*delay, *(("loss", f"{percent:g}%") if percent else ()))


def traffic_control(shapes: Sequence[Shape]) -> list[list[str]]:
    """The ``tc`` command lines for one node: a band for each shape, and filters that steer its peers there (tc-prio(8))."""
    if not shapes:
        return []
    queue = ["tc", "qdisc", "add", "dev", "eth0"]
    commands = [[*queue, "root", "handle", "1:", "prio", "bands", str(ORDINARY_BANDS + len(shapes))]]
    for band, shape in enumerate(shapes, ORDINARY_BANDS + 1):
        commands.append([*queue, "parent", f"1:{band}", "handle", f"{band}0:", "netem", *shape.effect])
        commands += [_filter(peer, band) for peer in shape.peers]
    return commands


def _filter(peer: str, band: int) -> list[str]:
    steer = ["tc", "filter", "add", "dev", "eth0", "parent", "1:0", "protocol", "ip", "u32"]
    return [*steer, "match", "ip", "dst", f"{peer}/32", "flowid", f"1:{band}"]


def _run(node: str, commands: Sequence[str]) -> None:
    try:
        docker("exec", node, "sh", "-ec", "\n".join(commands))
    except errors.CommandFailed as error:
        raise _explained(error) from error


def _explained(error: errors.CommandFailed) -> errors.LabError:
    """What ``tc`` says on a kernel without the modules, for somebody who could load them."""
    if not any(text in error.output for text in ("qdisc kind is unknown", "classifier not found", "filter kind is unknown")):
        return error
    return errors.MachineError(
        f"expected a kernel that can delay packets (modules {', '.join(KERNEL_MODULES)}); found: {error.output.strip()}",
        fix=f"on the machine that runs Docker: sudo modprobe -a {' '.join(KERNEL_MODULES)}; else another failure: lab fault list",
    )
