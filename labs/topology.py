"""The clusters that the lab knows, as ``clusters/topology.toml`` declares them: name, role, region, ranges, nodes.

Code asks for a role, never for a name: ``primary("gpus")`` is the cluster where the GPUs are.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from labs.config import CLUSTERS
from labs.errors import NotFound, UsageError

Role = Literal["users", "gpus"]
"""What a cluster is for: ``users`` arrive there, or it has the ``gpus``."""
ROLES: tuple[str, ...] = get_args(Role)
FILE = CLUSTERS / "topology.toml"


@dataclass(frozen=True)
class GpuSpec:
    """The simulated GPUs of one node."""

    product: str
    count: int


@dataclass(frozen=True)
class NodeSpec:
    """One node of a cluster: ``index`` counts from 0, the control plane first.

    ``schedulable`` is said of a control plane that takes ordinary pods too (it then carries no taint).
    """

    name: str
    index: int
    control_plane: bool = False
    gpu: GpuSpec | None = None
    schedulable: bool = False
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster of the lab: its name is also its kubeconfig context.

    One that is ``on_demand`` joins a running lab with ``lab up --cluster NAME``.
    """

    name: str
    title: str
    role: Role
    region: str
    pod_range: ipaddress.IPv4Network
    service_range: ipaddress.IPv4Network
    nodes: tuple[NodeSpec, ...]
    on_demand: bool = False

    @property
    def ranges(self) -> tuple[ipaddress.IPv4Network, ipaddress.IPv4Network]:
        """The range of its pods and that of its Services."""
        return self.pod_range, self.service_range


@cache
def declared() -> tuple[ClusterSpec, ...]:
    """Every cluster of ``clusters/topology.toml``, in its order.

    Raises:
        UsageError: the file declares something that cannot be; the message names it.
    """
    return read(FILE)


def defaults() -> tuple[ClusterSpec, ...]:
    """The clusters that ``lab up`` brings up without being told which."""
    return tuple(spec for spec in declared() if not spec.on_demand)


def find(name: str) -> ClusterSpec:
    """The declared cluster of that name.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    for spec in declared():
        if spec.name == name:
            return spec
    raise NotFound("cluster", name, [spec.name for spec in declared()], fix="clusters/topology.toml declares them")


def with_role(role: Role) -> tuple[ClusterSpec, ...]:
    """The declared clusters of a role, those on demand last.

    Raises:
        UsageError: there is no such role; the message lists those there are.
    """
    if role not in ROLES:
        raise UsageError(f"expected a role: {' or '.join(ROLES)}; found {role!r}", fix=f'lab.primary("{ROLES[0]}")')
    return tuple(sorted((spec for spec in declared() if spec.role == role), key=lambda spec: spec.on_demand))


def primary(role: Role) -> ClusterSpec:
    """The one cluster of a role that is up by default.

    Raises:
        UsageError: as ``with_role``.
    """
    return next(spec for spec in with_role(role) if not spec.on_demand)


class PlacedByRole:
    """Mixin for what belongs to the primary cluster of its ``role``, whatever that cluster is called."""

    role: Role

    @property
    def cluster(self) -> str:
        """The name of that cluster."""
        return primary(self.role).name


def read(file: Path) -> tuple[ClusterSpec, ...]:
    """The clusters that a topology file declares.

    Raises:
        UsageError: it declares something that cannot be; the message names it.
    """
    rows = tomllib.loads(file.read_text()).get("cluster", [])
    specs = tuple(_cluster(row, file) for row in rows)
    check(specs, file)
    return specs


def check(specs: Sequence[ClusterSpec], file: Path = FILE) -> None:
    """Refuse what cannot work: two clusters of one name, ranges that overlap, a role without exactly one default cluster.

    Raises:
        UsageError: what was expected, what was found, and in which file.
    """
    for one, other in combinations(specs, 2):
        if one.name == other.name:
            raise _wrong(file, "cluster names that differ", f"{one.name} twice")
    ranges = [(spec, network) for spec in specs for network in spec.ranges]
    for (one, network), (other, taken) in combinations(ranges, 2):
        if network.overlaps(taken):
            raise _wrong(file, "ranges that do not overlap", f"{network} of {one.name} and {taken} of {other.name}")
    for role in ROLES:
        found = [spec.name for spec in specs if spec.role == role and not spec.on_demand]
        if len(found) != 1:
            clusters = ", ".join(found) or "none"
            raise _wrong(file, f"exactly one cluster with the role {role} that is not on demand", clusters)


def _cluster(row: Mapping[str, Any], file: Path) -> ClusterSpec:
    name = row.get("name", "")
    missing = [key for key in ("name", "title", "role", "region", "pods", "services", "node") if not row.get(key)]
    if missing:
        raise _wrong(file, f"a value for {', '.join(missing)} in the table of cluster {name!r}", "none")
    if row["role"] not in ROLES:
        raise _wrong(file, f"a role of cluster {name}: {' or '.join(ROLES)}", repr(row["role"]))
    return ClusterSpec(
        name=name,
        title=row["title"],
        role=row["role"],
        region=row["region"],
        pod_range=_range(row["pods"], name, file),
        service_range=_range(row["services"], name, file),
        nodes=tuple(_node(index, node) for index, node in enumerate(row["node"])),
        on_demand=row.get("on-demand", False),
    )


def _range(text: str, name: str, file: Path) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise _wrong(file, f"IPv4 ranges of cluster {name}, for example 10.30.0.0/16", f"{text!r} ({error})") from error


def _node(index: int, row: Mapping[str, Any]) -> NodeSpec:
    gpu = GpuSpec(**row["gpu"]) if "gpu" in row else None
    return NodeSpec(
        row["name"], index, row.get("control-plane", False), gpu, row.get("schedulable", False), row.get("labels", {})
    )


def _wrong(file: Path, expected: str, found: str) -> UsageError:
    return UsageError(f"{file.name}: expected {expected}; found {found}", fix=f"edit {file}")
