"""What a wait says is still missing, from objects as the API server gives them."""

from __future__ import annotations

from typing import Any

import pytest

from labs import kube
from labs.errors import NotRunning, TimedOut


def deployment(generation: int = 2, **status: int) -> dict[str, Any]:
    status = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2} | status
    return {"kind": "Deployment", "metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": status}


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (deployment(), None),
        (deployment(generation=3), "its controller has not seen the newest change yet"),
        (deployment(updatedReplicas=1), "1 of 2 replicas are updated"),
        (deployment(replicas=3), "1 old replicas are still there"),
        (deployment(availableReplicas=1), "1 of 2 replicas are available"),
        (None, "it does not exist"),
    ],
)
def test_a_rollout_says_where_it_stands(found: dict[str, Any] | None, missing: str | None) -> None:
    assert kube.rolled_out(found) == missing


def test_a_daemonset_counts_nodes() -> None:
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}
    found = {"kind": "DaemonSet", "metadata": {"generation": 1}, "spec": {}, "status": status}
    assert kube.rolled_out(found) == "1 of 2 replicas are available"


def test_ready_repeats_the_conditions_own_words() -> None:
    row = {"type": "Ready", "status": "False", "message": "containers with unready status: [chat]"}
    assert kube.ready({"status": {"conditions": [row]}}) == "Ready is False: containers with unready status: [chat]"
    assert kube.ready({"status": {"conditions": [row | {"status": "True"}]}}) is None
    assert kube.ready({"status": {}}) == "Ready is Unknown"


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_is_finished_either_way(kind: str) -> None:
    assert kube.finished({"status": {"conditions": [{"type": kind, "status": "True"}]}}) is None
    assert kube.finished({"status": {"active": 1}}) == "1 pods active, 0 ready, not complete"


def test_deleted_names_the_finalizers_that_hold_it() -> None:
    assert kube.deleted(None) is None
    assert kube.deleted({"metadata": {"finalizers": ["a/b"]}}) == "it is still there, held by a/b"


def test_a_wait_that_ends_in_time_names_object_and_missing_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "get", lambda *words: deployment(availableReplicas=0))
    with pytest.raises(TimedOut, match=r"deployment ml/model-server after 0 s: 0 of 2 replicas are available") as caught:
        kube.wait(None, "Deployment", "model-server", "ml", kube.rolled_out, timeout=0)  # type: ignore[arg-type]
    assert caught.value.fix == "kubectl -n ml describe deployment model-server"


def test_without_a_kubeconfig_no_lab_runs(tmp_path: Any) -> None:
    with pytest.raises(NotRunning, match="no cluster 'app'") as caught:
        kube.connect("app", tmp_path / "kubeconfig")
    assert caught.value.fix == "lab up"
