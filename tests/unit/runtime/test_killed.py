"""The runtime, the shim and whole nodes killed with -9: what goes on, what is found again, what is left."""

from __future__ import annotations

from pathlib import Path

import psutil

from labs.wire.cri import cri_pb2 as pb
from tests.support.waiting import eventually
from tests.unit.runtime.conftest import TestNode, needs_namespaces

pytestmark = needs_namespaces


def test_pods_go_on_without_the_runtime_and_are_found_again(node: TestNode) -> None:
    pod = node.sandbox()
    sandbox = node.run_sandbox(pod)
    container = node.run("sh", "-c", "i=0; while sleep 0.1; do i=$((i+1)); echo line $i; done", pod=pod, sandbox=sandbox)
    short = node.run("sh", "-c", "sleep 1; exit 6", pod=pod, sandbox=sandbox)
    before = node.status(container)
    address = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox)).status.network.ip
    node.kill("runtime")
    after = node.status(container)
    assert (after.state, after.started_at) == (pb.CONTAINER_RUNNING, before.started_at)
    assert node.ended(short).exit_code == 6, "it may have ended while nobody looked"
    found = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox)).status
    assert (found.state, found.network.ip) == (pb.SANDBOX_READY, address)
    written = len(Path(after.log_path).read_text())
    eventually(lambda: len(Path(after.log_path).read_text()) > written)
    assert node.exec(container, "echo", "hi").stdout == b"hi\n"
    node.stop(container, 0)
    assert node.status(container).exit_code == 137


def test_a_node_ends_with_its_shim_and_says_so(node: TestNode) -> None:
    pod = node.sandbox()
    sandbox = node.run_sandbox(pod)
    container = node.run("sh", "-c", "setsid sleep 64 & exec sleep 65", pod=pod, sandbox=sandbox)
    mine = eventually(lambda: [process for process in node.outer.children(recursive=True) if "sleep" in process.cmdline()[:1]])
    node.kill("shim")
    _, alive = psutil.wait_procs(mine, timeout=10)
    assert not alive
    assert node.ended(container).exit_code == 137
    found = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox)).status
    assert found.state == pb.SANDBOX_NOTREADY
    eventually(lambda: _works(node))


def _works(node: TestNode) -> bool:
    import grpc

    try:
        return node.sh("echo works") == "works"
    except grpc.RpcError:  # the next shim is not up yet
        return False


def test_nothing_is_left_of_what_is_removed(node: TestNode) -> None:
    pod = node.sandbox()
    sandbox = node.run_sandbox(pod)
    container = node.run("sh", "-c", "mkdir -p /var/x && chmod 0 /var/x; sleep 66", pod=pod, sandbox=sandbox)
    state = node.folder / "state"
    assert (state / "containers" / container).exists()
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
    assert list((state / "containers").iterdir()) == list((state / "sandboxes").iterdir()) == []
    assert not [process for process in node.outer.children(recursive=True) if "66" in process.cmdline()]
