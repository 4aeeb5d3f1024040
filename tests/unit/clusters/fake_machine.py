"""A machine whose Docker, kind, k3d and kubectl are ``fake_tools``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labs.clusters.docker.backend import DockerBackend

FOLDER = Path(__file__).parent
START = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import fake_tools; fake_tools.main()"


class Quiet:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.titles: list[str] = []
        self.failures: list[str] = []

    def begin(self, title: str) -> None:
        self.titles.append(title)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, share: float, text: str) -> None:
        self.notes.append(text)

    def end(self, seconds: float, failure: str | None = None) -> None:
        if failure:
            self.failures.append(failure)


class Machine:
    """A machine with Docker, kind and k3d, all of them fake."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.write(
            api="1.50",
            subnet="172.18.0.0/16",
            kind="0.33.0",
            mode={},
            networks={},
            volumes={},
            containers={},
            images=["busybox:1"],
            routes=[],
            loaded=[],
            held={},
            links={},
            joined={},
            linked={},
            applied=[],
            calls=[],
        )

    def read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def write(self, **changes: Any) -> None:
        known = self.read() if self.file.exists() else {}
        self.file.write_text(json.dumps(known | changes))

    def lines(self, tool: str) -> list[str]:
        return [" ".join(words[1:]) for words in self.read()["calls"] if words[0] == tool]

    def containers(self) -> list[str]:
        return sorted(self.read()["containers"])


NODES = {
    "kind": ["app-control-plane", "app-worker", "app-worker2", "gpu-control-plane", "gpu-worker", "gpu-worker2"],
    "k3d": [
        "k3d-app-agent-0",
        "k3d-app-agent-1",
        "k3d-app-server-0",
        "k3d-gpu-agent-0",
        "k3d-gpu-agent-1",
        "k3d-gpu-server-0",
    ],
}


def foreign(machine: Machine, backend: DockerBackend, cluster: str, network: str) -> None:
    """A cluster that somebody made without the lab."""
    rows = machine.read()["containers"]
    for role, suffix in [("control-plane", "control-plane"), ("worker", "worker"), ("worker", "worker2")]:
        labels = {backend.tool.cluster_label: cluster, backend.tool.role_label: role if backend.name == "kind" else "agent"}
        name = f"{'k3d-' if backend.name == 'k3d' else ''}{cluster}-{suffix}"
        rows[name] = {
            "Name": f"/{name}",
            "RestartCount": 0,
            "State": {"Status": "running", "ExitCode": 0},
            "Config": {"Labels": labels},
            "NetworkSettings": {"Networks": {network: {"IPAddress": "172.19.0.2"}}},
        }
    machine.write(containers=rows)
