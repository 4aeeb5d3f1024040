"""Nodes that are processes: frozen with everything below them, and containers killed by their root folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labs import link_conditions
from labs.clusters.embedded import nodes as embedded_nodes
from labs.clusters.embedded.nodes import EmbeddedNodes, processes_with_root
from labs.clusters.nodes import Node, Part
from labs.link_conditions import CLEAR, LinkConditions
from labs.waiting import wait_until

SLEEP = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(60)"


@pytest.fixture
def agent() -> Iterator[psutil.Process]:
    """A node's process with a pod below it."""
    with subprocess.Popen([sys.executable, "-c", PARENT]) as started:
        process = psutil.Process(started.pid)
        assert wait_until(process.children, 10)
        pods = process.children()
        yield process
        for found in [process, *pods]:
            found.kill()


@pytest.fixture
def supervised(agent: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> psutil.Process:
    """The agent is the node gpu-worker, and also its cluster's scheduler."""
    rows = [{"name": f"gpu/{name}", "pid": agent.pid} for name in ("gpu-worker", "kube-scheduler")]
    monkeypatch.setattr(embedded_nodes.control, "status", lambda: {"children": [*rows, {"name": "etcd", "pid": None}]})
    return agent


def stopped(process: psutil.Process) -> set[bool]:
    return {found.status() == psutil.STATUS_STOPPED for found in [process, *process.children()]}


@pytest.mark.parametrize(("node", "part"), [("gpu-worker", "node"), ("gpu-control-plane", "control-plane")])
def test_what_is_frozen_stops_with_all_below_it_and_goes_on(supervised: psutil.Process, node: str, part: Part) -> None:
    nodes = EmbeddedNodes()
    nodes.freeze("gpu", node, part)
    # A signal takes effect when the process next runs.
    assert wait_until(lambda: stopped(supervised) == {True}, 10)
    for _ in range(2):
        nodes.thaw("gpu", node, part)
        assert wait_until(lambda: stopped(supervised) == {False}, 10)


def test_another_node_of_the_same_name_is_spared(supervised: psutil.Process) -> None:
    EmbeddedNodes().freeze("app", "gpu-worker")
    assert stopped(supervised) == {False}


def test_the_topology_says_which_node_is_the_control_plane() -> None:
    assert EmbeddedNodes().list("gpu") == [Node("gpu-control-plane", True), Node("gpu-worker", False), Node("gpu-worker2", False)]


def test_a_containers_processes_are_found_by_their_root() -> None:
    root = "/pods/0815/containers/linkerd-proxy/root"
    with subprocess.Popen([sys.executable, "-c", SLEEP], env={"CONTAINER_ROOT": f"/nodes/n{root}"}) as process:
        assert wait_until(lambda: [row.pid for row in processes_with_root(root)] == [process.pid], 10)
        assert not processes_with_root("/pods/4711/containers/linkerd-proxy/root")
        EmbeddedNodes().kill_container("gpu", {"metadata": {"uid": "0815"}}, "linkerd-proxy")
        assert process.wait(10) == -9


def test_the_edge_of_the_cluster_is_told_of_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    nodes = EmbeddedNodes()
    nodes.shape_link("gpu", LinkConditions(latency_ms=250))
    nodes.shape_link("gpu-eu", LinkConditions(lost=("requests", "answers")))
    assert link_conditions.read("gpu") == LinkConditions(latency_ms=250) and link_conditions.read("app") == CLEAR
    nodes.shape_link("gpu", CLEAR)
    assert link_conditions.read_all() == {"gpu-eu": LinkConditions(lost=("requests", "answers"))}
    nodes.shape_link("gpu-eu", CLEAR)
    assert not link_conditions.path().exists()
