"""One node that is a real kubelet, for all tests of this folder. No lab is needed, and none is disturbed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from labs.embedded import manifest, programs, recipes
from labs.embedded.namespaces import detect
from tests.integration.sandbox.cluster import SandboxCluster
from tests.support.lab import Kubectl
from tests.support.waiting import eventually


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCluster]:
    """A cluster with one node, Ready."""
    if reason := detect.unsupported_reason():
        pytest.skip(str(reason))
    missing = manifest.damage(programs.folder(recipes.node()), recipes.node().programs)
    if missing:
        pytest.skip(f"the node's own programs are not compiled on this machine: {missing}")
    found = SandboxCluster(tmp_path_factory.mktemp("sandbox") / "a cluster")
    found.folder.mkdir()
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def kubectl(cluster: SandboxCluster) -> Kubectl:
    """``kubectl(context, *args)`` as for a lab, whatever the context: there is one cluster."""

    def run(context: str, *args: str, input: str | None = None, timeout: float = 60) -> str:
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", *args]
        result = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def ready() -> bool:
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "wait", "node/n1", "--for=condition=Ready", "--timeout=1s"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    eventually(ready, 120)
    return run
