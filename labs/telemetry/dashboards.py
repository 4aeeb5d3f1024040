"""The Grafana dashboards of ``clusters/manifests/grafana-dashboards``: which queries they hold, for whoever tests them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labs import config

FOLDER = config.MANIFESTS / "grafana-dashboards"
CLUSTERS = {"serving.json": "gpu", "mesh.json": "app"}
"""Which cluster's Prometheus a dashboard is for."""


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    dashboard: str
    panel: str
    cluster: str
    promql: str


def targets() -> list[Target]:
    """Every query of every dashboard."""
    found = []
    for name, cluster in CLUSTERS.items():
        for panel in json.loads((FOLDER / name).read_text(encoding="utf-8"))["panels"]:
            found += [Target(name, panel["title"], cluster, target["expr"]) for target in panel["targets"]]
    return found
