"""The weather on the way into a cluster: what the wide-area network between two clusters does to each connection.

Loopback has no wide-area network and netem needs root, so the load balancer at a cluster's edge (``service_proxy.edge``) applies
it to every connection that enters through a Service of type LoadBalancer: the mesh's gateway. Kept in ``.lab/weather.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from labs import config
from labs.errors import UsageError
from labs.wire.replace_file import replace_text

Direction = Literal["requests", "answers"]


@dataclass(frozen=True)
class Weather:
    """``latency_ms`` is added to the round trip, half of it each way. ``loss_percent`` of all segments are lost and sent again.

    ``lost`` names the directions in which nothing arrives: both is a partition, one an asymmetric fault.
    """

    latency_ms: float = 0.0
    loss_percent: float = 0.0
    lost: tuple[Direction, ...] = ()

    def check(self) -> None:
        """Refuse what no network does.

        Raises:
            UsageError: it says which word is off.
        """
        if not 0 <= self.latency_ms <= 10_000:
            raise UsageError(f"expected a latency from 0 to 10000 ms; found {self.latency_ms:g}")
        if not 0 <= self.loss_percent <= 90:
            raise UsageError(f"expected a loss from 0 to 90 percent; found {self.loss_percent:g}")


CLEAR = Weather()


def path() -> Path:
    return config.STATE / "weather.json"


def read(cluster: str, file: Path | None = None) -> Weather:
    """The weather on the way into ``cluster``; clear if nobody wrote any."""
    source = file or path()
    row = json.loads(source.read_text()).get(cluster) if source.exists() else None
    return Weather(row["latency_ms"], row["loss_percent"], tuple(row["lost"])) if row else CLEAR


def write(cluster: str, weather: Weather, file: Path | None = None) -> None:
    """Set the weather on the way into ``cluster``; the other clusters' stays."""
    target = file or path()
    known = json.loads(target.read_text()) if target.exists() else {}
    known[cluster] = asdict(weather)
    left = {name: row for name, row in known.items() if row != asdict(CLEAR) and row != {**asdict(CLEAR), "lost": []}}
    if not left:
        target.unlink(missing_ok=True)
        return
    replace_text(target, json.dumps(left))
