"""The backend ``contexts`` on two clusters that exist: those of the embedded lab, driven with a state folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from labs import config
from labs.course.notebook_lab import open_lab
from labs.paths import Paths
from tests.support import snapshot
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.before_the_mesh]

Kubectl = Callable[..., str]
LabCommand = Callable[..., "subprocess.CompletedProcess[str]"]
CHOSEN = ("--backend", "contexts", "--context", "app=app", "--context", "gpu=gpu")
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: only-looks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: only-looks}
subjects: [{kind: ServiceAccount, name: guest, namespace: default}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: guest, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: only-looks}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}]
"""


@pytest.fixture
def foreign(lab_up: None, tmp_path: Path) -> Iterator[LabCommand]:
    """The ``lab`` command of a second lab, whose user's kubeconfig is the first one's; down again afterwards."""

    def command(*args: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "LAB_STATE": str(tmp_path / "second lab"),
            "KUBECONFIG": str(kubeconfig or Paths.current().kubeconfig),
        }
        words = [sys.executable, "-m", "labs.cli", *args]
        nobody = subprocess.DEVNULL  # to answer a question
        return subprocess.run(
            words, cwd=config.ROOT, env=environment, stdin=nobody, capture_output=True, text=True, timeout=200, check=False
        )

    yield command
    command("down")


@pytest.fixture
def before(lab_up: None) -> dict[str, object]:
    return look()


def look() -> dict[str, object]:
    """What is in both clusters, without what the garbage collector takes away in its own time."""
    return snapshot.objects(open_lab(), snapshot.KINDS)


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, tuple[object, object]]:
    """What is not as it was: an object that came or went whole, of another one the parts that differ."""
    found: dict[str, tuple[object, object]] = {}
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= {f"{name} {key}": pair for key, pair in difference(one, other).items()}
        elif one != other:
            found[name] = (one, other)
    return found


def left_behind(before: dict[str, object]) -> dict[str, tuple[object, object]]:
    """The difference now, but for this: a kubelet goes on to offer none of a resource whose plugin has gone."""
    return {name: pair for name, pair in difference(before, look()).items() if pair != (None, "0")}


def test_up_makes_what_it_lists_and_down_removes_just_that(
    foreign: LabCommand, kubectl: Kubectl, before: dict[str, object]
) -> None:
    up = foreign("up", *CHOSEN, "--yes")
    assert up.returncode == 0, up.stderr
    made = {name.split()[2] for name in difference(before, look()) if " Namespace " in name}
    assert made == {"-/shop", "-/ml", "-/monitoring", "-/gpu-system"}
    for namespace in ("shop", "ml", "monitoring", "gpu-system"):
        assert namespace in up.stderr
    offered = json.loads(kubectl("gpu", "get", "nodes", "-o", "json"))["items"]
    assert [row["status"]["allocatable"].get("nvidia.com/gpu") for row in offered].count("4") == 2
    assert foreign("up", *CHOSEN, "--yes").returncode == 0, "a second time is harmless"
    status = json.loads(foreign("status", "--json").stdout)
    assert status["backend"] == "contexts" and {row["state"] for row in status["children"]} == {"ready"}
    down = foreign("down")
    assert down.returncode == 0, down.stderr
    eventually(lambda: left_behind(before), holds=lambda left: not left)  # a kubelet tells what its nodes offer in its own time


def test_without_a_yes_nothing_is_made(foreign: LabCommand, before: dict[str, object]) -> None:
    refused = foreign("up", *CHOSEN)
    assert refused.returncode == 2 and "--yes" in refused.stderr
    assert not difference(before, look())


def test_one_cluster_twice_is_refused(foreign: LabCommand, before: dict[str, object]) -> None:
    refused = foreign("up", "--backend", "contexts", "--context", "app=app", "--context", "gpu=app", "--yes")
    assert refused.returncode == 2 and "lead to the same one" in refused.stderr, refused.stderr
    assert not difference(before, look())


def test_an_unknown_context_is_answered_with_those_there_are(foreign: LabCommand) -> None:
    refused = foreign("up", "--backend", "contexts", "--context", "app=app", "--context", "gpu=gpus", "--yes")
    assert refused.returncode == 1 and "gpus" in refused.stderr and "app, gpu" in refused.stderr, refused.stderr


def test_a_cluster_that_does_not_answer_is_named(foreign: LabCommand, tmp_path: Path) -> None:
    dead = tmp_path / "kubeconfig"
    dead.write_text(Paths.current().kubeconfig.read_text().replace(server("gpu"), "https://127.0.0.1:9"))
    refused = foreign("up", *CHOSEN, "--yes", kubeconfig=dead)
    assert refused.returncode == 2 and "context gpu cannot be reached" in refused.stderr, refused.stderr


def test_a_user_without_rights_is_told_which_verb_on_which_resource(
    foreign: LabCommand, kubectl: Kubectl, before: dict[str, object], tmp_path: Path
) -> None:
    guest = tmp_path / "kubeconfig"
    whole = yaml.safe_load(Paths.current().kubeconfig.read_text())
    try:
        for row in whole["contexts"]:
            kubectl(row["name"], "apply", "-f", "-", input=RIGHTS)
            token = kubectl(row["name"], "--namespace", "default", "create", "token", "guest").strip()
            user = next(user for user in whole["users"] if user["name"] == row["context"]["user"])
            user["user"] = {"token": token}
        guest.write_text(yaml.safe_dump(whole))
        refused = foreign("up", *CHOSEN, "--yes", kubeconfig=guest)
    finally:
        for context in ("app", "gpu"):
            kubectl(context, "delete", "--ignore-not-found", "-f", "-", input=RIGHTS)
    assert refused.returncode == 2 and "create namespaces" in refused.stderr, refused.stderr
    assert not difference(before, look())


def server(cluster: str) -> str:
    """The address of a cluster's API server, as the lab's kubeconfig has it."""
    clusters = yaml.safe_load(Paths.current().kubeconfig.read_text())["clusters"]
    return str(next(row["cluster"]["server"] for row in clusters if row["name"] == cluster))
