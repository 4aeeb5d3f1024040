"""Clusters that record what was done to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labs.clusters.base import Capabilities
from labs.clusters.nodes import Node
from labs.journal import Journal
from labs.session import Session


@dataclass
class FakeGpuCluster:
    """Two nodes with four GPUs each, driven by the commands ``labs.faults`` sends; ``broken`` makes the next one fail."""

    name: str = "gpu"
    api: Any = "the gpu cluster's client"
    faults: set[tuple[str, int, str]] = field(default_factory=set)
    busy: dict[tuple[str, int], str] = field(default_factory=lambda: {("gpu-worker2", 3): "model-server-0"})
    broken: Exception | type[BaseException] | None = None

    def kubectl(self, *words: str, input: str | None = None, timeout: float = 60) -> str:
        node, command = words[3].removeprefix("simulator-"), words[words.index("ctl") + 1 :]
        if command == ("list", "--json"):
            return json.dumps([{"index": n, "pods": [p] if (p := self.busy.get((node, n))) else []} for n in range(4)])
        if self.broken is not None and command[1] == "inject":
            raise self.broken
        _, action, _, gpu, _, fault = command
        change = self.faults.add if action == "inject" else self.faults.discard
        change((node, int(gpu), fault))
        return "{}"


class FakeNodes:
    """Nodes that record what is done to them; ``reason`` is why nothing can be done."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.calls: list[tuple[Any, ...]] = []

    def unsupported_reason(self, action: str, cluster: str) -> str | None:
        return self.reason and f"{action} in {cluster}: {self.reason}"

    def list(self, cluster: str) -> list[Node]:
        return [Node(f"{cluster}-control-plane", True), Node(f"{cluster}-worker", False), Node(f"{cluster}-worker2", False)]

    def __getattr__(self, name: str) -> Any:
        return lambda *words: self.calls.append((name, *words))


@dataclass
class FakeBackend:
    name: str = "fake"
    can: Capabilities = field(default_factory=lambda: Capabilities(False, False))
    nodes: FakeNodes = field(default_factory=FakeNodes)
    known: dict[str, Any] = field(default_factory=dict)

    def clusters(self) -> dict[str, Any]:
        return self.known


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpuCluster:
    def pods(api: Any, kind: str, namespace: str, **selectors: str) -> list[dict[str, Any]]:
        nodes = ("gpu-worker2", "gpu-worker")
        return [{"metadata": {"name": f"simulator-{node}"}, "spec": {"nodeName": node}} for node in nodes]

    monkeypatch.setattr("labs.kube.select", pods)
    return FakeGpuCluster()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state with space" / "faults.json")


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def session(gpu: FakeGpuCluster, backend: Any, journal: Journal) -> Session:
    backend.known["gpu"] = gpu
    return Session(backend, journal)
