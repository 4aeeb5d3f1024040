"""Conditions on the network link into a cluster: the latency, loss and partitions that a fault puts on it.

They are stored in ``.lab/link-conditions.json``. Backends apply them where they own the network: on Docker netem on the nodes'
interfaces, on the embedded backend the load balancer at the cluster's edge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from labs.errors import UsageError
from labs.paths import Paths
from labs.wire.replace_file import replace_text

Direction = Literal["requests", "answers"]


@dataclass(frozen=True)
class LinkConditions:
    """``latency_ms`` is added to the round trip, half of it each way; ``loss_percent`` of all packets are dropped.

    ``lost`` names the directions in which nothing arrives: both is a partition, one is an asymmetric fault.
    """

    latency_ms: float = 0.0
    loss_percent: float = 0.0
    lost: tuple[Direction, ...] = ()

    def check(self) -> None:
        """Refuse values that no network has.

        Raises:
            UsageError: it names the value.
        """
        if not 0 <= self.latency_ms <= 10_000:
            raise UsageError(f"expected a latency from 0 to 10000 ms; found {self.latency_ms:g}")
        if not 0 <= self.loss_percent <= 90:
            raise UsageError(f"expected a loss from 0 to 90 percent; found {self.loss_percent:g}")


CLEAR = LinkConditions()


def path() -> Path:
    return Paths.current().state / "link-conditions.json"


def read_all(file: Path | None = None) -> dict[str, LinkConditions]:
    """Every cluster whose link is not clear, with the conditions on the link into it."""
    source = file or path()
    rows = json.loads(source.read_text()) if source.exists() else {}
    return {cluster: _parse(row) for cluster, row in rows.items()}


def read(cluster: str, file: Path | None = None) -> LinkConditions:
    """The conditions on the link into ``cluster``."""
    return read_all(file).get(cluster, CLEAR)


def write(cluster: str, conditions: LinkConditions, file: Path | None = None) -> None:
    """Set the conditions on the link into ``cluster``; other clusters keep theirs."""
    target = file or path()
    known = read_all(target) | {cluster: conditions}
    shaped = {name: asdict(found) for name, found in known.items() if found != CLEAR}
    if shaped:
        replace_text(target, json.dumps(shaped))
    else:
        target.unlink(missing_ok=True)


def _parse(row: Mapping[str, Any]) -> LinkConditions:
    return LinkConditions(row["latency_ms"], row["loss_percent"], tuple(row["lost"]))
