"""Startup, readiness and liveness probes: texts, kills, exit codes."""

from __future__ import annotations

from typing import Any

from tests.parity.context import ParityContext
from tests.parity.expect import Between, Text
from tests.parity.pods import LOOP, POLITE, ended, event, event_messages, is_ready, main_status, pod
from tests.parity.rows import Topic

topic = Topic("kubelet_probes", "kubelet", "Probes")
SOURCE = "04-probes.txt"
QUICK = {"periodSeconds": 1, "failureThreshold": 2}
FAILING = {"exec": {"command": ["sh", "-c", "echo out; echo err >&2; exit 1"]}} | QUICK
HTTP = {"httpGet": {"path": "/health", "port": 18080}} | QUICK


@topic.row(
    "HTTP readiness probe of a port where nothing listens",
    real=Text(r'Readiness probe failed: Get "http://[\d.]+:18080/health": dial tcp [\d.]+:18080: connect: connection refused'),
    source=SOURCE,
    within=20,
)
def http_refused(context: ParityContext) -> Any:
    pod(context, "http-refused", POLITE, readinessProbe=HTTP)
    return event(context, "http-refused", "Unhealthy")


@topic.row(
    "TCP readiness probe of a port where nothing listens",
    real=Text(r"Readiness probe failed: dial tcp [\d.]+:18080: connect: connection refused"),
    source=SOURCE,
    within=20,
)
def tcp_refused(context: ParityContext) -> Any:
    pod(context, "tcp-refused", POLITE, readinessProbe={"tcpSocket": {"port": 18080}} | QUICK)
    return event(context, "tcp-refused", "Unhealthy")


@topic.row(
    "a pod whose readiness probe fails", real={"phase": "Running", "ready": False, "restarts": 0}, source=SOURCE, within=20
)
def not_ready(context: ParityContext) -> Any:
    found = pod(context, "tcp-refused", POLITE, readinessProbe={"tcpSocket": {"port": 18080}} | QUICK)
    return {"phase": found["status"].get("phase"), "ready": is_ready(found), "restarts": main_status(found)["restartCount"]}


@topic.row(
    "a liveness command that exits with 1: the event's text",
    real="Liveness probe failed: out\nerr\n",
    source=SOURCE,
    within=20,
)
def exec_text(context: ParityContext) -> Any:
    pod(context, "live-exec", POLITE, livenessProbe=FAILING)
    return event(context, "live-exec", "Unhealthy")


@topic.row(
    "the event when the liveness probe has failed twice",
    real="Container main failed liveness probe, will be restarted",
    source=SOURCE,
    within=25,
)
def killed_for_liveness(context: ParityContext) -> Any:
    pod(context, "live-exec", POLITE, livenessProbe=FAILING)
    return event(context, "live-exec", "Killing")


@topic.row(
    "how a process that exits with 0 on TERM ends then",
    real={"reason": "Completed", "exit code": 0},
    source=SOURCE,
    within=25,
)
def polite_end(context: ParityContext) -> Any:
    how = ended(pod(context, "live-exec", POLITE, livenessProbe=FAILING), last=True)
    return {"reason": how.get("reason"), "exit code": how.get("exitCode")}


@topic.row(
    "how a process that ignores TERM ends after its grace period of 2 s",
    real={"reason": "Error", "exit code": 137},
    source=SOURCE,
    within=30,
)
def stubborn_end(context: ParityContext) -> Any:
    how = ended(pod(context, "live-stubborn", f"trap '' TERM; {LOOP}", livenessProbe=FAILING), last=True)
    return {"reason": how.get("reason"), "exit code": how.get("exitCode")}


@topic.row("exit code of a process that dies of TERM", real=143, source=SOURCE, within=25)
def end_by_term(context: ParityContext) -> Any:
    script = f"trap 'exit 143' TERM; {LOOP}"
    return ended(pod(context, "live-term", script, livenessProbe=FAILING), last=True).get("exitCode")


@topic.row(
    "a liveness command that takes longer than its timeout of 1 s",
    real='Liveness probe failed: command timed out: "sleep 20" timed out after 1s',
    source=SOURCE,
    within=25,
)
def exec_timeout(context: ParityContext) -> Any:
    pod(context, "live-slow", POLITE, livenessProbe={"exec": {"command": ["sleep", "20"]}, "timeoutSeconds": 1} | QUICK)
    return event(context, "live-slow", "Unhealthy")


@topic.row(
    "a liveness command that does not exist: text, restarts",
    real={"text": Text("Liveness probe errored and resulted in unknown state: .*"), "restarts": 0},
    source=SOURCE,
    within=20,
)
def exec_missing(context: ParityContext) -> Any:
    found = pod(context, "live-missing", POLITE, livenessProbe={"exec": {"command": ["nosuchcmd"]}} | QUICK)
    return {"text": event(context, "live-missing", "Unhealthy"), "restarts": main_status(found)["restartCount"]}


@topic.row(
    "the event when the startup probe has failed twice",
    real="Container main failed startup probe, will be restarted",
    source=SOURCE,
    within=25,
)
def killed_for_startup(context: ParityContext) -> Any:
    pod(context, "startup", POLITE, startupProbe=FAILING)
    return event(context, "startup", "Killing")


@topic.row(
    "seconds until a process that ignores TERM is gone, with the probe's own grace period of 1 s instead of the pod's 30 s",
    real=Between(0, 15, "s"),
    source=SOURCE,
    within=30,
)
def grace_of_the_probe(context: ParityContext) -> Any:
    probe = FAILING | {"terminationGracePeriodSeconds": 1}
    spec = {"terminationGracePeriodSeconds": 30}
    found = pod(context, "live-grace", f"date +%s; trap '' TERM; {LOOP}", spec=spec, livenessProbe=probe)
    how = ended(found, last=True)
    return _seconds(how["startedAt"], how["finishedAt"]) if how else None


def _seconds(begun: str, over: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(over) - datetime.fromisoformat(begun)).total_seconds()


@topic.row("number of Unhealthy event objects from one failing probe", real=1, source=SOURCE, within=20)
def events_are_counted(context: ParityContext) -> Any:
    pod(context, "tcp-refused", POLITE, readinessProbe={"tcpSocket": {"port": 18080}} | QUICK)
    return len(event_messages(context, "tcp-refused", "Unhealthy"))
