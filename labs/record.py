"""``.lab/lab.json``: what this lab consists of, so that every later command finds it: its backend, its clusters, added nodes.

``lab up`` writes it before it makes anything, so ``lab down`` finds what an interrupted ``up`` left. ``LAYOUT`` changes whenever
the files of a running lab change in a way that older code would misread.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from labs import errors, topology
from labs.paths import Paths
from labs.topology import ClusterSpec, GpuSpec, NodeSpec
from labs.wire.replace_file import replace_text

LAYOUT = 2
OLD_FILE = "backend"
"""Layout 1 had no ``lab.json``, only this file with the backend's name."""


@dataclass(frozen=True)
class Record:
    """``clusters`` are names in the order of the topology; ``nodes`` are those added to a cluster after it came up."""

    backend: str
    clusters: tuple[str, ...]
    nodes: Mapping[str, tuple[NodeSpec, ...]] = field(default_factory=dict)

    def specs(self) -> tuple[ClusterSpec, ...]:
        """The recorded clusters as the topology declares them, with the added nodes."""
        return tuple(self._with_added(topology.find(name)) for name in self.clusters)

    def _with_added(self, spec: ClusterSpec) -> ClusterSpec:
        return replace(spec, nodes=(*spec.nodes, *self.nodes.get(spec.name, ())))

    def with_clusters(self, names: set[str]) -> Record:
        """The same record with these clusters; nodes of others are forgotten."""
        ordered = tuple(spec.name for spec in topology.declared() if spec.name in names)
        return replace(self, clusters=ordered, nodes={name: rows for name, rows in self.nodes.items() if name in names})

    def with_node(self, cluster: str, node: NodeSpec) -> Record:
        """The same record with ``node`` added to ``cluster``."""
        return self.with_nodes(cluster, (*self.nodes.get(cluster, ()), node))

    def without_node(self, cluster: str, name: str) -> Record:
        """The same record without the added node of that name."""
        return self.with_nodes(cluster, tuple(node for node in self.nodes.get(cluster, ()) if node.name != name))

    def with_nodes(self, cluster: str, nodes: tuple[NodeSpec, ...]) -> Record:
        """The same record with ``nodes`` as the ones added to ``cluster``."""
        return replace(self, nodes={**self.nodes, cluster: nodes})


def path() -> Path:
    return Paths.current().state / "lab.json"


def read() -> Record | None:
    """This checkout's lab; None if there is none.

    Raises:
        OldLayout: an earlier version of this program made it.
    """
    if path().exists():
        return _parse(path().read_text())
    if (path().parent / OLD_FILE).exists():
        raise _other_layout(1)
    return None


def backend() -> str | None:
    """The name of this lab's backend, whatever layout its files have: ``lab down`` removes every layout. None without a lab."""
    old = path().parent / OLD_FILE
    if old.exists():
        return old.read_text().strip()
    # Not parsed as JSON: also a damaged record names its backend.
    named = re.search(r'"backend": "([a-z0-9]+)"', path().read_text()) if path().exists() else None
    return named[1] if named else None


def require() -> Record:
    """This checkout's lab.

    Raises:
        NotRunning: there is none.
    """
    found = read()
    if found is None:
        raise not_running()
    return found


def not_running() -> errors.NotRunning:
    """The error of a lab that does not run, which says whether there is a stopped one."""
    if path().exists():
        return errors.NotRunning("this checkout's lab is stopped; its state is kept", fix="lab up, which resumes it")
    return errors.NotRunning("no lab is up in this checkout", fix="lab up")


def write(record: Record) -> None:
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rows = [{"name": name, "nodes": [asdict(node) for node in record.nodes.get(name, ())]} for name in record.clusters]
    replace_text(path(), json.dumps({"layout": LAYOUT, "backend": record.backend, "clusters": rows}, indent=2) + "\n")


def forget() -> None:
    """Remove the record, and the state folder if nothing else is in it: ``up`` made nothing."""
    path().unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: the tools that were fetched stay
        path().parent.rmdir()


def clusters() -> tuple[ClusterSpec, ...]:
    """The clusters of this checkout's lab; without a lab those that ``lab up`` makes by default."""
    found = read()
    return found.specs() if found else topology.defaults()


def _parse(text: str) -> Record:
    try:
        body = json.loads(text)
        layout = body["layout"]
        if layout == LAYOUT:
            rows = {row["name"]: tuple(_node(node) for node in row["nodes"]) for row in body["clusters"]}
            return Record(body["backend"], tuple(rows), {name: nodes for name, nodes in rows.items() if nodes})
    except (ValueError, KeyError, TypeError) as error:
        raise errors.OldLayout(f"{path()} is damaged: {error!r}", fix="lab down, then lab up") from error
    raise _other_layout(layout)


def _node(row: dict[str, Any]) -> NodeSpec:
    return NodeSpec(**row | {"gpu": GpuSpec(**row["gpu"]) if row["gpu"] else None})


def _other_layout(found: object) -> errors.OldLayout:
    return errors.OldLayout(
        f"expected lab files with layout {LAYOUT}; found layout {found} in {path().parent}: another version made it",
        fix="lab down, then lab up",
    )
