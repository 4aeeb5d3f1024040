"""Deployments, Jobs and DaemonSets; nodes that are lost or drained; an agent that is killed: what becomes of the pods."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from labs.embedded import control
from labs.errors import CommandFailed
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

Object = dict[str, Any]
LOOP = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
FAMILY = "sh -c 'sh -c \"sleep 600; :\" & wait' & wait"
"""A shell, its child, and a grandchild."""


def template(pods: Any, name: str, script: str, **spec: Any) -> Object:
    pod = pods.pod(name, script, spec=spec)
    return {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}


def workload(pods: Any, kind: str, name: str, script: str = LOOP, *, pod: Object | None = None, **spec: Any) -> Object:
    """A Deployment, DaemonSet or Job whose pods are labelled test=NAME."""
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"test": name}}}
    body = selector | {"template": template(pods, name, script, **(pod or {}))} | spec
    return {"apiVersion": "batch/v1" if kind == "Job" else "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def get(pods: Any, kind: str, name: str) -> Object:
    found: Object = json.loads(pods.run("get", kind, name, "-o", "json"))
    return found


def condition(thing: Object, kind: str) -> Object:
    return next((row for row in thing["status"].get("conditions", []) if row["type"] == kind), {})


def is_ready(thing: Object) -> bool:
    return condition(thing, "Ready").get("status") == "True"


def processes_of(pod: Object) -> list[psutil.Process]:
    """What runs in the pod's first container, children and grandchildren included."""
    mark = pod["status"]["containerStatuses"][0]["containerID"]
    return [process for process in psutil.process_iter() if _environment(process).get("LAB_CONTAINER_ID") == mark]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_rollout_and_rollback(pods: Any) -> None:
    pods.apply(workload(pods, "Deployment", "web", replicas=2))
    pods.run("rollout", "status", "deployment/web", "--timeout=30s")
    first = {pod["metadata"]["name"] for pod in pods.select("test=web")}
    assert len(first) == 2

    pods.run("patch", "deployment/web", "--patch", json.dumps({"spec": {"progressDeadlineSeconds": 4}}))
    pods.run("set", "image", "deployment/web", "main=registry.example.invalid/web:2")
    with pytest.raises(CommandFailed, match="exceeded its progress deadline"):
        pods.run("rollout", "status", "deployment/web", "--timeout=30s")
    found = {pod["metadata"]["name"]: pod for pod in pods.select("test=web")}
    assert all(is_ready(found[name]) for name in first)
    (new,) = found.keys() - first
    waiting = found[new]["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
    deployment = get(pods, "deployment", "web")
    assert condition(deployment, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert condition(deployment, "Available")["status"] == "True"

    pods.run("patch", "deployment/web", "--patch", json.dumps({"spec": {"progressDeadlineSeconds": 60}}))
    pods.run("rollout", "undo", "deployment/web")
    pods.run("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: {pod["metadata"]["name"] for pod in pods.select("test=web")} == first)

    pods.run("set", "env", "deployment/web", "VERSION=3")
    pods.run("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: len(pods.select("test=web")) == 2)
    replaced = pods.select("test=web")
    assert not first & {pod["metadata"]["name"] for pod in replaced}
    assert pods.run("exec", replaced[0]["metadata"]["name"], "--", "sh", "-c", "echo $VERSION") == "3\n"


def test_jobs_and_a_daemon_set(pods: Any) -> None:
    never = {"restartPolicy": "Never"}
    pods.apply(
        workload(pods, "Job", "counts", "echo done", pod=never, completions=3, parallelism=2),
        workload(pods, "Job", "fails", "exit 3", pod=never, backoffLimit=1),
        workload(pods, "Job", "retries", "exit 3", pod={"restartPolicy": "OnFailure"}, backoffLimit=1),
        workload(pods, "DaemonSet", "everywhere"),
    )
    pods.run("rollout", "status", "daemonset/everywhere", "--timeout=30s")
    before = pods.select("test=everywhere")
    assert {pod["spec"]["nodeName"] for pod in before} == {"app-worker", "app-worker2"}
    pods.run("delete", "pod", before[0]["metadata"]["name"], "--wait=true")
    eventually(lambda: sum(is_ready(pod) for pod in pods.select("test=everywhere")) == 2)
    after = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods.select("test=everywhere")}
    assert after[before[0]["spec"]["nodeName"]] != before[0]["metadata"]["name"]
    assert after[before[1]["spec"]["nodeName"]] == before[1]["metadata"]["name"]

    pods.run("wait", "--for=condition=Complete", "job/counts", "--timeout=30s")
    assert get(pods, "job", "counts")["status"]["succeeded"] == 3
    assert {pod["status"]["phase"] for pod in pods.select("test=counts")} == {"Succeeded"}
    for name in ("fails", "retries"):
        pods.run("wait", "--for=condition=Failed", f"job/{name}", "--timeout=60s")
        failed = condition(get(pods, "job", name), "Failed")
        assert failed["reason"] == "BackoffLimitExceeded"
        assert failed["message"] == "Job has reached the specified backoff limit"
    assert [pod["status"]["phase"] for pod in pods.select("test=fails")] == ["Failed", "Failed"]
    assert pods.run("logs", "job/counts") == "done\n"


def test_an_agent_killed_with_9_takes_its_pods_along_and_brings_them_back(pods: Any) -> None:
    here, never = {"nodeName": "app-worker"}, {"restartPolicy": "Never"}
    two = workload(pods, "Job", "half-done", LOOP, pod=here | {"restartPolicy": "OnFailure"})
    two["spec"]["template"]["spec"]["containers"].append({"name": "quick", "image": "busybox:1", "command": ["true"]})
    pods.apply(
        pods.pod("family", FAMILY, spec=here),
        pods.pod("ended", "echo kept", spec=here | never),
        pods.pod("once", LOOP, spec=here | never),
        pods.pod("beside", LOOP, spec={"nodeName": "app-worker2"}),
        two,
    )
    family = pods.until("family", is_ready)
    pods.until("beside", is_ready)
    pods.until("once", is_ready)
    ended = pods.until("ended", lambda pod: pod["status"]["phase"] == "Succeeded")
    eventually(lambda: states(pods) == ["running", "terminated"])
    processes = eventually(lambda: processes_of(family), 15, holds=lambda found: len(found) >= 4)
    control.kill("app/app-worker")
    eventually(lambda: gone(processes), 15)

    again = pods.until("family", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1 and is_ready(pod))
    status = again["status"]["containerStatuses"][0]
    assert (status["lastState"]["terminated"]["reason"], status["lastState"]["terminated"]["exitCode"]) == ("Unknown", 255)
    assert again["metadata"]["uid"] == family["metadata"]["uid"]
    assert len(eventually(lambda: processes_of(again), 15)) >= 1
    pods.until_event("family", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    assert pods.get("beside")["status"]["containerStatuses"][0]["restartCount"] == 0
    once = pods.until("once", lambda pod: pod["status"]["phase"] == "Failed")["status"]["containerStatuses"][0]
    assert (once["restartCount"], once["state"]["terminated"]["reason"]) == (0, "Unknown")
    eventually(lambda: states(pods) == ["running", "terminated"])
    (half_done,) = pods.select("test=half-done")
    assert [row["restartCount"] for row in half_done["status"]["containerStatuses"]] == [1, 0]
    assert pods.get("ended")["status"] == ended["status"]
    assert pods.run("logs", "ended") == "kept\n"
    pods.run("delete", "pod", "family", "ended", "--wait=true")


def states(pods: Any) -> list[str]:
    """``running``, ``waiting`` or ``terminated`` for each container of the Job half-done."""
    (pod,) = pods.select("test=half-done")
    return [next(iter(row["state"])) for row in pod["status"].get("containerStatuses", [])]


@pytest.fixture
def silenced() -> Iterator[Callable[[str], None]]:
    """Stop a node agent without ending it, as a node whose network is gone; it goes on when the test ends."""
    stopped: list[str] = []

    def silence(node: str) -> None:
        control.kill(f"app/{node}", signal.SIGSTOP)
        stopped.append(node)

    yield silence
    for node in stopped:
        control.kill(f"app/{node}", signal.SIGCONT)


def test_pods_of_a_lost_node_are_evicted_to_another(pods: Any, silenced: Callable[[str], None]) -> None:
    pods.apply(workload(pods, "Deployment", "moves", replicas=1))
    pods.run("rollout", "status", "deployment/moves", "--timeout=30s")
    (first,) = pods.select("test=moves")
    node = first["spec"]["nodeName"]
    patient = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"} for key in ("unreachable", "not-ready")
    ]
    pods.apply(pods.pod("stays", "sleep 600", spec={"nodeName": node, "tolerations": patient}))
    pods.until("stays", is_ready)
    silenced(node)
    begun = time.monotonic()
    eventually(lambda: condition(get(pods, "node", node), "Ready")["status"] == "Unknown", 30)
    assert condition(get(pods, "node", node), "Ready")["reason"] == "NodeStatusUnknown"
    for name in (first["metadata"]["name"], "stays"):
        pods.until(name, lambda pod: not is_ready(pod))
    moved = eventually(lambda: [pod for pod in pods.select("test=moves") if is_ready(pod)], 60)
    assert time.monotonic() - begun > 25, "sooner than the 30 s of a pod's toleration"
    assert moved[0]["spec"]["nodeName"] != node
    # Nobody can say that the first one has ended: it stays until its node is heard of again.
    assert pods.get(first["metadata"]["name"])["metadata"]["deletionTimestamp"]
    control.kill(f"app/{node}", signal.SIGCONT)
    eventually(lambda: is_ready(get(pods, "node", node)), 20)
    eventually(lambda: [pod["metadata"]["name"] for pod in pods.select("test=moves")] == [moved[0]["metadata"]["name"]], 20)
    # The node controller had marked it not ready: the node, back again, knows better.
    pods.until("stays", is_ready, 20)


def test_drain_respects_the_budget_and_moves_pods(pods: Any) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "leaves"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"test": "leaves"}}},
    }
    pods.apply(workload(pods, "Deployment", "leaves", replicas=2), budget)
    pods.run("rollout", "status", "deployment/leaves", "--timeout=30s")
    node = pods.select("test=leaves")[0]["spec"]["nodeName"]
    eventually(lambda: get(pods, "pdb", "leaves")["status"].get("disruptionsAllowed") == 1)
    try:
        # The selector: other workloads of the lab stay where they are.
        pods.run("drain", node, "--pod-selector=test=leaves", "--ignore-daemonsets", "--timeout=40s")
        assert get(pods, "node", node)["spec"]["unschedulable"]
        eventually(lambda: sum(is_ready(pod) for pod in pods.select("test=leaves")) == 2)
        assert node not in {pod["spec"]["nodeName"] for pod in pods.select("test=leaves")}
    finally:
        pods.run("uncordon", node)
