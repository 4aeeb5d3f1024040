"""A node without a kubelet: the tests ask its runtime themselves."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from labs import config
from labs.embedded.namespaces import detect
from labs.wire.cri import cri_pb2 as pb
from labs.wire.cri import cri_pb2_grpc as rpc
from tests.support.waiting import eventually
from tests.unit.runtime.inside import HOST

NOT_HERE = detect.unsupported_reason()
needs_namespaces = pytest.mark.skipif(NOT_HERE is not None, reason=str(NOT_HERE))
TIMEOUT = 60
NUMBERS = itertools.count()
MODULES = {"shim": "labs.embedded.runtime.shim", "runtime": "labs.embedded.runtime"}
RANGE = "10.16.1.0/28"


@dataclass
class TestNode:
    """The runtime of one node, and shorthands for what a kubelet does."""

    __test__ = False
    folder: Path
    runtime: rpc.RuntimeServiceStub
    images: rpc.ImageServiceStub
    outer: psutil.Process

    def sandbox(self, name: str = "pod", **options: object) -> pb.PodSandboxConfig:
        """What a kubelet would ask for; ``options`` are those of its namespaces."""
        namespaces = pb.NamespaceOption(**{"pid": pb.CONTAINER} | options)  # type: ignore[arg-type]
        context = pb.LinuxSandboxSecurityContext(namespace_options=namespaces)
        return pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="default"),
            hostname=name,
            log_directory=str(self.folder / "logs" / name),
            dns_config=pb.DNSConfig(servers=["10.96.0.10"], searches=["default.svc"], options=["ndots:5"]),
            linux=pb.LinuxPodSandboxConfig(security_context=context),
        )

    def run_sandbox(self, config: pb.PodSandboxConfig) -> str:
        answer: pb.RunPodSandboxResponse = self.runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=config), timeout=TIMEOUT)
        return answer.pod_sandbox_id

    def create(self, sandbox: str, pod: pb.PodSandboxConfig, *command: str, **more: object) -> str:
        container = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="main"),
            image=pb.ImageSpec(image="busybox:1", user_specified_image="busybox:1"),
            command=command,
            log_path=f"main/{next(NUMBERS)}.log",
            **more,  # type: ignore[arg-type]
        )
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=container, sandbox_config=pod)
        answer: pb.CreateContainerResponse = self.runtime.CreateContainer(request, timeout=TIMEOUT)
        return answer.container_id

    def start(self, container: str) -> None:
        self.runtime.StartContainer(pb.StartContainerRequest(container_id=container), timeout=TIMEOUT)

    def run(self, *command: str, pod: pb.PodSandboxConfig | None = None, sandbox: str = "", **more: object) -> str:
        """A started container, in a sandbox of its own unless one is given."""
        pod = pod or self.sandbox()
        container = self.create(sandbox or self.run_sandbox(pod), pod, *command, **more)
        self.start(container)
        return container

    def status(self, container: str) -> pb.ContainerStatus:
        request = pb.ContainerStatusRequest(container_id=container)
        answer: pb.ContainerStatusResponse = self.runtime.ContainerStatus(request, timeout=TIMEOUT)
        return answer.status

    def ended(self, container: str) -> pb.ContainerStatus:
        return eventually(lambda: self.status(container), holds=lambda found: found.state == pb.CONTAINER_EXITED)

    def output(self, container: str) -> str:
        """What the container wrote until it ended."""
        text = Path(self.ended(container).log_path).read_text()
        return "\n".join(line.split(" ", 3)[3] for line in text.splitlines())

    def sh(self, script: str, **more: Any) -> str:
        """What a container prints that runs a script to its end."""
        return self.output(self.run("sh", "-c", script, **more))

    def exec(self, container: str, *command: str, timeout: int = 10) -> pb.ExecSyncResponse:
        request = pb.ExecSyncRequest(container_id=container, cmd=command, timeout=timeout)
        answer: pb.ExecSyncResponse = self.runtime.ExecSync(request, timeout=TIMEOUT)
        return answer

    def stop(self, container: str, grace: int) -> None:
        self.runtime.StopContainer(pb.StopContainerRequest(container_id=container, timeout=grace), timeout=TIMEOUT)

    def clean(self) -> None:
        for item in self.runtime.ListPodSandbox(pb.ListPodSandboxRequest(), timeout=TIMEOUT).items:
            self.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=item.id), timeout=TIMEOUT)

    def kill(self, name: str) -> None:
        """Kill the shim or the runtime with -9 and wait until another one answers."""
        found = [process for process in self.outer.children(recursive=True) if _is(process, name)]
        # What the shim forked for sandboxes goes by its name: the shim is the first of them.
        victim = min(found, key=lambda process: process.create_time())
        victim.send_signal(signal.SIGKILL)
        victim.wait(TIMEOUT)
        self.answers()

    def answers(self) -> None:
        self.runtime.Version(pb.VersionRequest(), wait_for_ready=True, timeout=TIMEOUT)


def _is(process: psutil.Process, name: str) -> bool:
    words = process.cmdline()
    return "-m" in words and words[words.index("-m") + 1] == MODULES[name]


@pytest.fixture(scope="session")
def whole_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    folder = tmp_path_factory.mktemp("a node") / ("long" * 25)
    state = folder / "state"
    state.mkdir(parents=True)
    short = tmp_path_factory.mktemp("cri") / "cri.sock"
    node = {"name": "n1", "state": str(state), "socket": str(short), "pod_ranges": [RANGE], "host_address": HOST}
    path = folder / "config.json"
    path.write_text(json.dumps({"streaming": str(folder / "streaming.sock"), "images": [], "nodes": [node]}))
    argv = [sys.executable, "-m", "labs.embedded.namespaces.first", str(folder / "record")]
    argv += [sys.executable, "-m", "tests.unit.runtime.inside", str(path)]
    process = subprocess.Popen(argv, cwd=config.ROOT, env=os.environ | {"PYTHONPATH": str(config.ROOT)})
    channel = grpc.insecure_channel(f"unix:{short}", options=[("grpc.max_reconnect_backoff_ms", 200)])
    found = TestNode(state.parent, rpc.RuntimeServiceStub(channel), rpc.ImageServiceStub(channel), psutil.Process(process.pid))
    try:
        found.answers()
        yield found
    finally:
        channel.close()
        process.kill()
        process.wait()


@pytest.fixture
def node(whole_node: TestNode) -> Iterator[TestNode]:
    """The node, empty before and after."""
    yield whole_node
    whole_node.answers()
    whole_node.clean()
