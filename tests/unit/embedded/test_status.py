"""PodStatus from container records: phases and conditions, as recorded from a kubelet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.embedded.node import status
from labs.embedded.node.model import ContainerRecord, Object, PodRecord
from labs.embedded.node.status import Progress

THEN, NOW = "2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"
CREATING: Object = {"waiting": {"reason": "ContainerCreating"}}
CRASHING: Object = {"waiting": {"reason": "CrashLoopBackOff"}}
RUNNING: Object = {"running": {"startedAt": THEN}}
STARTED = Progress("127.10.0.11", THEN, has_sandbox=True, had_sandbox=True)
FINISHED = Progress("127.10.0.11", THEN, had_sandbox=True, finished=True)


def ended(code: int) -> Object:
    return {"terminated": {"exitCode": code}}


def record(name: str, state: Object, *, kind: str = "main", last: Object | None = None, up: bool = False) -> ContainerRecord:
    spec = {"name": name, "image": "busybox:1"}
    container_id = "" if state in (CREATING, {"waiting": {"reason": "PodInitializing"}}) else "process://1"
    return ContainerRecord(name, kind, spec, Path("/none"), state, last or {}, container_id=container_id, ready=up, started=up)


def pod(*records: ContainerRecord, spec: Object | None = None, conditions: Any = ()) -> PodRecord:
    body = {"containers": [entry.spec for entry in records if entry.kind == "main"]} | (spec or {})
    metadata = {"name": "p", "namespace": "n", "uid": "u", "generation": 3}
    whole = {"metadata": metadata, "spec": body, "status": {"conditions": list(conditions), "qosClass": "Burstable"}}
    return PodRecord(whole, Path("/none"), containers={entry.name: entry for entry in records}, ip="10.10.1.2")


def condition(computed: Object, kind: str) -> Object:
    return next(row for row in computed["conditions"] if row["type"] == kind)


@pytest.mark.parametrize(
    ("records", "progress", "phase"),
    [
        ([record("a", CREATING)], STARTED, "Pending"),
        ([record("a", RUNNING), record("b", CREATING)], STARTED, "Pending"),
        ([record("a", RUNNING), record("b", RUNNING)], STARTED, "Running"),
        ([record("a", CRASHING, last=ended(7))], STARTED, "Running"),
        ([record("a", ended(7)), record("b", RUNNING)], STARTED, "Running"),
        ([record("a", ended(0)), record("b", ended(0))], STARTED, "Running"),  # until the sandbox is stopped
        ([record("a", ended(0)), record("b", ended(0))], FINISHED, "Succeeded"),
        ([record("a", ended(0)), record("b", ended(1))], FINISHED, "Failed"),
        ([record("a", CREATING), record("i", ended(3), kind="init")], FINISHED, "Failed"),
        ([record("a", ended(0)), record("i", ended(0), kind="init")], FINISHED, "Succeeded"),
        ([record("a", ended(0)), record("s", ended(143), kind="sidecar")], FINISHED, "Succeeded"),
    ],
)
def test_phases(records: list[ContainerRecord], progress: Progress, phase: str) -> None:
    assert status.phase(pod(*records), progress) == phase


def test_a_pod_past_its_deadline_failed_whatever_its_containers_say() -> None:
    late = Progress("127.10.0.11", THEN, finished=True, reason="DeadlineExceeded", message="too late")
    computed = status.compute(pod(record("a", ended(0))), late, NOW)
    assert (computed["phase"], computed["reason"], computed["message"]) == ("Failed", "DeadlineExceeded", "too late")
    assert condition(computed, "Ready")["reason"] == "PodFailed"


def test_conditions_of_a_pod_that_waits_for_its_sandbox() -> None:
    computed = status.compute(pod(record("a", CREATING)), Progress("127.10.0.11", THEN), NOW)
    sandbox = condition(computed, "PodReadyToStartContainers")
    assert (sandbox["status"], sandbox["reason"], sandbox["message"]) == ("False", "PodSandboxNotReady", "no pod sandbox exists")
    assert condition(computed, "Ready")["message"] == "containers with unready status: [a]"
    assert condition(computed, "Initialized")["status"] == "True"
    assert "podIP" not in computed


def test_init_containers_that_are_not_done_are_named() -> None:
    inits = [record("i1", ended(0), kind="init"), record("s", RUNNING, kind="sidecar"), record("i2", CREATING, kind="init")]
    waiting = record("a", {"waiting": {"reason": "PodInitializing"}})
    row = condition(status.compute(pod(*inits, waiting), STARTED, NOW), "Initialized")
    assert (row["reason"], row["message"]) == ("ContainersNotInitialized", "containers with incomplete status: [s i2]")


def test_ready_needs_every_main_container_and_sidecar() -> None:
    sidecar, main = record("s", RUNNING, kind="sidecar"), record("a", RUNNING, up=True)
    assert condition(status.compute(pod(sidecar, main), STARTED, NOW), "Ready")["status"] == "False"
    sidecar.ready = True
    assert condition(status.compute(pod(sidecar, main), STARTED, NOW), "Ready")["status"] == "True"


def test_a_readiness_gate_holds_the_pod_back_but_not_its_containers() -> None:
    gate = {"readinessGates": [{"conditionType": "example.com/ok"}]}
    closed = status.compute(pod(record("a", RUNNING, up=True), spec=gate), STARTED, NOW)
    assert condition(closed, "ContainersReady")["status"] == "True"
    assert condition(closed, "Ready")["reason"] == "ReadinessGatesNotReady"
    passed = [{"type": "example.com/ok", "status": "True"}]
    opened = status.compute(pod(record("a", RUNNING, up=True), spec=gate, conditions=passed), STARTED, NOW)
    assert condition(opened, "Ready")["status"] == "True"


def test_a_transition_time_changes_with_the_status_only() -> None:
    one = pod(record("a", RUNNING))
    one.status = status.compute(one, STARTED, THEN)
    one.containers["a"].ready = True
    computed = status.compute(one, STARTED, NOW)
    assert condition(computed, "Ready")["lastTransitionTime"] == NOW
    assert condition(computed, "Initialized")["lastTransitionTime"] == THEN


@pytest.mark.parametrize("given", ["Guaranteed", "Burstable", "BestEffort"])
def test_quality_of_service_is_what_the_api_server_decided(given: str) -> None:
    """Whatever the resources look like: 64Mi and 67108864, cpu "0", or resources of the pod as a whole."""
    one = pod(record("a", RUNNING), spec={"resources": {"limits": {"cpu": "1"}}})
    one.pod["status"]["qosClass"] = given
    assert status.compute(one, STARTED, NOW)["qosClass"] == given


def test_a_pod_the_node_refuses_shows_neither_conditions_nor_containers() -> None:
    refused = status.rejected("OutOfcpu", "Node didn't have enough resource: cpu", THEN, 1)
    assert (refused["phase"], refused["reason"]) == ("Failed", "OutOfcpu")
    assert refused["message"] == "Pod was rejected: Node didn't have enough resource: cpu"
    assert not {"conditions", "containerStatuses"} & set(refused)
