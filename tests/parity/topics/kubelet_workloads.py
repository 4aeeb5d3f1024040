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


def job(context: ParityContext, name: str, script: str, policy: str = "Never", **spec: Any) -> Object:
    body = {"template": template(name, script, restartPolicy=policy), **spec}
    found = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}
    context.once(f"job {name}", lambda: context.apply(space(context), found))
    return kube.get(context.api(), "Job", name, space(context)) or {}


def deployment(context: ParityContext, name: str, script: str, replicas: int) -> None:
    body = {
        "replicas": replicas,
        "selector": {"matchLabels": {"parity": name}},
        "template": template(name, script),
        "progressDeadlineSeconds": 8,
    }
    found = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}
    context.apply(space(context), found)
    kube.wait(context.api(), "Deployment", name, space(context), kube.rolled_out, timeout=60)


@topic.row(
    "a finished Job: its conditions and their reasons",
    real={"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"},
    source=JOBS,
    within=25,
)
def job_complete(context: ParityContext) -> Any:
    rows = job(context, "done", "exit 0").get("status", {}).get("conditions") or []
    return {row["type"]: row["reason"] for row in rows}


@topic.row(
    "a Job that fails with backoffLimit 0: its last condition",
    real={"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
    source=JOBS,
    within=25,
)
def job_failed(context: ParityContext) -> Any:
    found = condition(job(context, "fails", "exit 1", backoffLimit=0), "Failed")
    return {name: found.get(name) for name in ("reason", "message")}


@topic.row(
    "a Job past its activeDeadlineSeconds",
    real={"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"},
    source=JOBS,
    within=25,
)
def job_deadline(context: ParityContext) -> Any:
    found = condition(job(context, "overdue", POLITE, activeDeadlineSeconds=2), "Failed")
    return {name: found.get(name) for name in ("reason", "message")}


@topic.row("the pod of a failed Job under restartPolicy OnFailure", real="deleted", source=JOBS, within=30)
def failed_pod_is_deleted(context: ParityContext) -> Any:
    job(context, "on-failure", "exit 1", "OnFailure", backoffLimit=0)
    reasons = {event["reason"] for event in events(context, space(context), "on-failure")}
    return "deleted" if "SuccessfulDelete" in reasons else "there"


def bad_rollout(context: ParityContext) -> str:
    """A Deployment of two pods whose new image does not exist; its progress deadline is 8 s."""

    def make() -> None:
        deployment(context, "rolls", POLITE, 2)
        shell_in(context, "set", "image", "deployment/rolls", "main=registry.example.invalid/team/app:2")

    context.once("bad rollout", make)
    return "rolls"


@topic.row(
    "rollout status of a Deployment whose new image does not exist",
    real=(1, containing('deployment "rolls" exceeded its progress deadline')),
    source=ROLLOUT,
)
def rollout_status(context: ParityContext) -> Any:
    return shell_in(context, "rollout", "status", f"deployment/{bad_rollout(context)}", "--timeout=40s")


@topic.row("old pods that are still ready then", real={"ready": 2, "Available": "True"}, source=ROLLOUT)
def old_pods_stay(context: ParityContext) -> Any:
    found = kube.get(context.api(), "Deployment", bad_rollout(context), space(context)) or {}
    return {"ready": found["status"].get("readyReplicas"), "Available": condition(found, "Available").get("status")}


@topic.row("a version that crashes and has no readiness probe: exit code of rollout status", real=0, source=ROLLOUT)
def crashing_version_rolls_out(context: ParityContext) -> Any:
    deployment(context, "crashes", POLITE, 1)
    patched = {"spec": {"template": template("crashes", "sleep 1; exit 1")}}
    kube.patch(context.api(), "Deployment", "crashes", space(context), patched)
    return shell_in(context, "rollout", "status", "deployment/crashes", "--timeout=40s")[0]
