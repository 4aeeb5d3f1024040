"""The pager: what users notice, and since when. It is silent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labs.course.render import render
from labs.faults.experiments import layers
from labs.telemetry.prometheus import Prometheus

NOTICED = ("failures per second", "4xx per second", "successes per second", "latency p95, ms")
"""The indicators a pager uses: what users notice, never what caused it."""


@dataclass(frozen=True)
class Page:
    """What the pager shows at one moment. In a notebook it is a box, elsewhere a few lines."""

    seconds: float
    symptoms: tuple[str, ...]

    @property
    def clock(self) -> str:
        minutes, seconds = divmod(int(self.seconds), 60)
        return f"{minutes:02d}:{seconds:02d}"

    @property
    def state(self) -> str:
        return "something is wrong" if self.symptoms else "all quiet: users are served as usual"

    def __str__(self) -> str:
        return "\n".join([f"PAGE, {self.clock} ago: {self.state}", *(f"  - {symptom}" for symptom in self.symptoms)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render("page.html.j2", page=self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def symptoms(servers: Mapping[str, Prometheus], steady: pd.Series) -> tuple[str, ...]:
    """What users notice now, compared with the ``steady`` values by indicator."""
    found, now = [], layers.now(servers)
    for indicator in layers.INDICATORS:
        before, after = float(steady[indicator.name]), float(now[indicator.name])
        if indicator.name in NOTICED and indicator.moved(before, after) in ("up", "down", "gone"):
            found.append(f"{indicator.name}: {_number(before)} before, {_number(after)} now")
    return tuple(found)


def _number(value: float) -> str:
    """A number with two digits and no exponent."""
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
