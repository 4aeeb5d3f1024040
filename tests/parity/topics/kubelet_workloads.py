"""Deployments, Jobs and DaemonSets, as far as nodes take part."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity.context import Object, ParityContext, condition, events
from tests.parity.expect import containing
from tests.parity.pods import POLITE, SHELL, shell_in, space
from tests.parity.rows import Topic

topic = Topic("kubelet_workloads", "kubelet", "Workloads")
ROLLOUT = "15-deployment-rollout.txt"
JOBS = "16-daemonset-job-cronjob.txt"


def template(name: str, script: str, **spec: Any) -> Object:
    container = {"name": "main", "image": SHELL, "command": ["sh", "-c", script]}
    whole = {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    return {"metadata": {"labels": {"parity": name}}, "spec": whole}


def job(stage: ParityContext, name: str, script: str, policy: str = "Never", **spec: Any) -> Object:
    body = {"template": template(name, script, restartPolicy=policy), **spec}
    found = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}
    stage.once(f"job {name}", lambda: stage.apply(space(stage), found))
    return kube.get(stage.api(), "Job", name, space(stage)) or {}


def deployment(stage: ParityContext, name: str, script: str, replicas: int) -> None:
    body = {
        "replicas": replicas,
        "selector": {"matchLabels": {"parity": name}},
        "template": template(name, script),
        "progressDeadlineSeconds": 8,
    }
    found = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}
    stage.apply(space(stage), found)
    kube.wait(stage.api(), "Deployment", name, space(stage), kube.rolled_out, timeout=60)


@topic.row(
    "a finished Job: its conditions and their reasons",
    real={"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"},
    source=JOBS,
    within=25,
)
def job_complete(stage: ParityContext) -> Any:
    rows = job(stage, "done", "exit 0").get("status", {}).get("conditions") or []
    return {row["type"]: row["reason"] for row in rows}


@topic.row(
    "a Job that fails with backoffLimit 0: its last condition",
    real={"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
    source=JOBS,
    within=25,
)
def job_failed(stage: ParityContext) -> Any:
    found = condition(job(stage, "fails", "exit 1", backoffLimit=0), "Failed")
    return {name: found.get(name) for name in ("reason", "message")}


@topic.row(
    "a Job past its activeDeadlineSeconds",
    real={"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"},
    source=JOBS,
    within=25,
)
def job_deadline(stage: ParityContext) -> Any:
    found = condition(job(stage, "overdue", POLITE, activeDeadlineSeconds=2), "Failed")
    return {name: found.get(name) for name in ("reason", "message")}


@topic.row("the pod of a failed Job under restartPolicy OnFailure", real="deleted", source=JOBS, within=30)
def failed_pod_is_deleted(stage: ParityContext) -> Any:
    job(stage, "on-failure", "exit 1", "OnFailure", backoffLimit=0)
    reasons = {event["reason"] for event in events(stage, space(stage), "on-failure")}
    return "deleted" if "SuccessfulDelete" in reasons else "there"


def bad_rollout(stage: ParityContext) -> str:
    """A Deployment of two pods whose new image does not exist; its progress deadline is 8 s."""

    def make() -> None:
        deployment(stage, "rolls", POLITE, 2)
        shell_in(stage, "set", "image", "deployment/rolls", "main=registry.example.invalid/team/app:2")

    stage.once("bad rollout", make)
    return "rolls"


@topic.row(
    "rollout status of a Deployment whose new image does not exist",
    real=(1, containing('deployment "rolls" exceeded its progress deadline')),
    source=ROLLOUT,
)
def rollout_status(stage: ParityContext) -> Any:
    return shell_in(stage, "rollout", "status", f"deployment/{bad_rollout(stage)}", "--timeout=40s")


@topic.row("old pods that are still ready then", real={"ready": 2, "Available": "True"}, source=ROLLOUT)
def old_pods_stay(stage: ParityContext) -> Any:
    found = kube.get(stage.api(), "Deployment", bad_rollout(stage), space(stage)) or {}
    return {"ready": found["status"].get("readyReplicas"), "Available": condition(found, "Available").get("status")}


@topic.row("a version that crashes and has no readiness probe: exit code of rollout status", real=0, source=ROLLOUT)
def crashing_version_rolls_out(stage: ParityContext) -> Any:
    deployment(stage, "crashes", POLITE, 1)
    patched = {"spec": {"template": template("crashes", "sleep 1; exit 1")}}
    kube.patch(stage.api(), "Deployment", "crashes", space(stage), patched)
    return shell_in(stage, "rollout", "status", "deployment/crashes", "--timeout=40s")[0]
