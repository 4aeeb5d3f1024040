"""kubectl exec and kubectl logs: exit codes and texts."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity.context import ParityContext
from tests.parity.expect import Text, containing
from tests.parity.pods import POLITE, pod, shell_in, space
from tests.parity.rows import Topic

topic = Topic("kubelet_commands", "kubelet", "kubectl exec and logs")
SOURCE = "08-exec-logs.txt"


def running(stage: ParityContext) -> str:
    """A pod that runs, after it has written twelve lines."""
    name = "talks"
    pod(stage, name, f"for i in $(seq 12); do echo line $i; done; {POLITE}")
    kube.wait(stage.api(), "Pod", name, space(stage), kube.ready, timeout=30)
    return name


def completed(stage: ParityContext) -> str:
    name = "bye"
    pod(stage, name, "echo bye", spec={"restartPolicy": "Never"})
    stage.once("bye ends", lambda: kube.wait(stage.api(), "Pod", name, space(stage), _succeeded, timeout=30))
    return name


def _succeeded(found: Any) -> str | None:
    return None if found and found["status"].get("phase") == "Succeeded" else "it has not succeeded"


def waits(stage: ParityContext) -> str:
    """A pod whose volume does not exist."""
    volume = {"volumes": [{"name": "v", "configMap": {"name": "nothing"}}]}
    pod(stage, "waits", POLITE, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    return "waits"


@topic.row("exec of a shell that exits with 7", real=(7, Text("command terminated with exit code 7\n?")), source=SOURCE)
def exec_exit_code(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", running(stage), "--", "sh", "-c", "exit 7")


@topic.row("exec of a shell that kills itself", real=137, source=SOURCE)
def exec_killed(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", running(stage), "--", "sh", "-c", "kill -9 $$")[0]


@topic.row(
    "exec of a command that does not exist",
    real=(1, containing("Internal error occurred: error executing command in container", "nosuchcmd")),
    source=SOURCE,
)
def exec_not_found(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", running(stage), "--", "nosuchcmd")


@topic.row(
    "exec in a pod that has completed",
    real=(1, containing("cannot exec into a container in a completed pod; current phase is Succeeded")),
    source=SOURCE,
)
def exec_completed(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", completed(stage), "--", "true")


@topic.row(
    "exec in a container that has not started",
    real=(1, containing('unable to upgrade connection: container not found ("main")')),
    source=SOURCE,
    within=10,
)
def exec_waiting(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", waits(stage), "--", "true")


@topic.row(
    "host name inside a container",
    real="talks",
    source=SOURCE,
    differs="no namespaces: a container sees the machine's host name, but HOSTNAME is the pod's",
)
def host_name(stage: ParityContext) -> Any:
    return shell_in(stage, "exec", running(stage), "--", "sh", "-c", "cat /proc/sys/kernel/hostname")[1].strip()


@topic.row("logs of a pod that has completed", real=(0, "bye\n"), source=SOURCE)
def logs_completed(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", completed(stage))


@topic.row("logs --tail=2", real=(0, "line 11\nline 12\n"), source=SOURCE)
def logs_tail(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", running(stage), "--tail=2")


@topic.row("logs --timestamps --tail=1", real=(0, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 12\n")), source=SOURCE)
def logs_timestamps(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", running(stage), "--timestamps", "--tail=1")


@topic.row("logs --limit-bytes=10", real=(0, "line 1\nlin"), source=SOURCE)
def logs_limit(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", running(stage), "--limit-bytes=10")


@topic.row(
    "logs --previous of a container that never terminated",
    real=(1, containing('previous terminated container "main" in pod "talks" not found')),
    source=SOURCE,
)
def logs_no_previous(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", running(stage), "--previous")


@topic.row(
    "logs of a container whose volume is missing",
    real=(1, containing('container "main" in pod "waits" is waiting to start: ContainerCreating')),
    source=SOURCE,
    within=10,
)
def logs_waiting(stage: ParityContext) -> Any:
    return shell_in(stage, "logs", waits(stage))


@topic.row("logs of a pod without a node", real=(0, ""), source=SOURCE)
def logs_unscheduled(stage: ParityContext) -> Any:
    pod(stage, "nowhere", POLITE, spec={"nodeSelector": {"parity": "no-such-node"}})
    return shell_in(stage, "logs", "nowhere")
