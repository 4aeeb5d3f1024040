"""The pager: what users notice, and for how long. To be seen, not heard."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labs.faults.experiments import planes
from labs.telemetry.prometheus import Prometheus

NOTICED = ("failures per second", "4xx per second", "successes per second", "latency p95, ms")
"""The indicators a pager may look at: what users feel, never what caused it."""


@dataclass(frozen=True)
class Page:
    """One look at the pager; without symptoms it is quiet. In a notebook a box, elsewhere a few lines."""

    seconds: float
    symptoms: tuple[str, ...]

    @property
    def clock(self) -> str:
        minutes, seconds = divmod(int(self.seconds), 60)
        return f"{minutes:02d}:{seconds:02d}"

    @property
    def state(self) -> str:
        return "something is wrong" if self.symptoms else "all quiet: users are served as before"

    def __str__(self) -> str:
        return "\n".join([f"PAGE, {self.clock} ago: {self.state}", *(f"  - {symptom}" for symptom in self.symptoms)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(symptom)}</li>" for symptom in self.symptoms)
        colour = "#D55E00" if self.symptoms else "#009E73"
        style = f"border:3px solid {colour};border-radius:6px;padding:.6em 1em;max-width:44em"
        return f'<div style="{style}" role="alert"><strong>PAGE · {self.clock}</strong> · {self.state}<ul>{items}</ul></div>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def symptoms(servers: Mapping[str, Prometheus], steady: pd.Series) -> tuple[str, ...]:
    """What users notice now, against the ``steady`` values by indicator."""
    found, now = [], planes.now(servers)
    for indicator in planes.INDICATORS:
        before, after = float(steady[indicator.what]), float(now[indicator.what])
        if indicator.what in NOTICED and indicator.moved(before, after) in ("up", "down", "gone"):
            found.append(f"{indicator.what}: {_number(before)} before, {_number(after)} now")
    return tuple(found)


def _number(value: float) -> str:
    """A pager shows two digits, and no exponents."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
