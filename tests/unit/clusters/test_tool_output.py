"""What kind and k3d print, put plainly."""

from __future__ import annotations

import pytest

from labs.clusters.docker.runner import complaints, readable


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (" • Preparing nodes 📦 📦 📦   ...\n", "Preparing nodes"),
        ('Creating cluster "app" ...\n', 'Creating cluster "app"'),
        ("\x1b[36mINFO\x1b[0m[0000] Creating node 'k3d-app-server-0'             \n", "Creating node 'k3d-app-server-0'"),
        ("\x1b[31mERRO\x1b[0m[0016] failed Cluster Creation: no image \n", "failed Cluster Creation: no image"),
        ("ERROR: failed to create cluster", "ERROR: failed to create cluster"),
        ("WARN[0000] No node filter specified\n", "No node filter specified"),
        ("\n", ""),
    ],
)
def test_what_tools_say_is_put_plainly(line: str, text: str) -> None:
    assert readable(line) == text


KIND_FAILED = """\
 ✗ Starting control-plane 🕹️
Deleted nodes: ["app-worker2" "app-worker" "app-control-plane"]
ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec app kubeadm init" failed
Command Output: I1127 22:55:17.7    120 round_trippers.go:632] "Response" verb="POST" url="https://172.18.0.4:6443/apis" status=""
error: error execution phase wait-control-plane: cannot obtain client without bootstrap
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
	k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
"""


K3D_FAILED = """\
\x1b[36mINFO\x1b[0m[0000] Creating node 'k3d-app-server-0'
\x1b[31mFATA\x1b[0m[0002] Cluster creation FAILED, all changes have been rolled back!
"""


def test_of_a_tools_last_words_the_complaints_are_told() -> None:
    assert complaints(KIND_FAILED) == (
        "ERROR: failed to create cluster: failed to init node with kubeadm:"
        ' command "docker exec app kubeadm init" failed;'
        " error: error execution phase wait-control-plane: cannot obtain client without bootstrap"
    )
    assert complaints(K3D_FAILED) == "Cluster creation FAILED, all changes have been rolled back!"
    assert complaints("killed\n") == ""
