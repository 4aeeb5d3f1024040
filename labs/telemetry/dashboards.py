"""The Grafana dashboards of ``clusters/manifests/grafana-dashboards``: their queries, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labs import config
from labs.topology import PlacedByRole, Role

FOLDER = config.MANIFESTS / "grafana-dashboards"
ROLES: dict[str, Role] = {"serving.json": "gpus", "mesh.json": "users"}
"""The role of the cluster whose Prometheus a dashboard shows."""


@dataclass(frozen=True)
class DashboardQuery(PlacedByRole):
    """One query of one panel."""

    dashboard: str
    panel: str
    role: Role
    promql: str


def targets() -> list[DashboardQuery]:
    """Every query of every dashboard."""
    found = []
    for name, role in ROLES.items():
        for panel in json.loads((FOLDER / name).read_text(encoding="utf-8"))["panels"]:
            found += [DashboardQuery(name, panel["title"], role, target["expr"]) for target in panel["targets"]]
    return found
