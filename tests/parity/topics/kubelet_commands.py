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


def running(context: ParityContext) -> str:
    """A pod that runs, after it has written twelve lines."""
    name = "talks"
    pod(context, name, f"for i in $(seq 12); do echo line $i; done; {POLITE}")
    kube.wait(context.api(), "Pod", name, space(context), kube.ready, timeout=30)
    return name


def completed(context: ParityContext) -> str:
    name = "bye"
    pod(context, name, "echo bye", spec={"restartPolicy": "Never"})
    context.once("bye ends", lambda: kube.wait(context.api(), "Pod", name, space(context), _succeeded, timeout=30))
    return name


def _succeeded(found: Any) -> str | None:
    return None if found and found["status"].get("phase") == "Succeeded" else "it has not succeeded"


def waits(context: ParityContext) -> str:
    """A pod whose volume does not exist."""
    volume = {"volumes": [{"name": "v", "configMap": {"name": "nothing"}}]}
    pod(context, "waits", POLITE, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    return "waits"


@topic.row("exec of a shell that exits with 7", real=(7, Text("command terminated with exit code 7\n?")), source=SOURCE)
def exec_exit_code(context: ParityContext) -> Any:
    return shell_in(context, "exec", running(context), "--", "sh", "-c", "exit 7")


@topic.row("exec of a shell that kills itself", real=137, source=SOURCE)
def exec_killed(context: ParityContext) -> Any:
    return shell_in(context, "exec", running(context), "--", "sh", "-c", "kill -9 $$")[0]


@topic.row(
    "exec of a command that does not exist",
    real=(1, containing("Internal error occurred: error executing command in container", "nosuchcmd")),
    source=SOURCE,
)
def exec_not_found(context: ParityContext) -> Any:
    return shell_in(context, "exec", running(context), "--", "nosuchcmd")


@topic.row(
    "exec in a pod that has completed",
    real=(1, containing("cannot exec into a container in a completed pod; current phase is Succeeded")),
    source=SOURCE,
)
def exec_completed(context: ParityContext) -> Any:
    return shell_in(context, "exec", completed(context), "--", "true")


@topic.row(
    "exec in a container that has not started",
    real=(1, containing('unable to upgrade connection: container not found ("main")')),
    source=SOURCE,
    within=10,
)
def exec_waiting(context: ParityContext) -> Any:
    return shell_in(context, "exec", waits(context), "--", "true")


@topic.row(
    "host name inside a container",
    real="talks",
    source=SOURCE,
    differs="no namespaces: a container sees the machine's host name, but HOSTNAME is the pod's",
)
def host_name(context: ParityContext) -> Any:
    return shell_in(context, "exec", running(context), "--", "sh", "-c", "cat /proc/sys/kernel/hostname")[1].strip()


@topic.row("logs of a pod that has completed", real=(0, "bye\n"), source=SOURCE)
def logs_completed(context: ParityContext) -> Any:
    return shell_in(context, "logs", completed(context))


@topic.row("logs --tail=2", real=(0, "line 11\nline 12\n"), source=SOURCE)
def logs_tail(context: ParityContext) -> Any:
    return shell_in(context, "logs", running(context), "--tail=2")


@topic.row("logs --timestamps --tail=1", real=(0, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 12\n")), source=SOURCE)
def logs_timestamps(context: ParityContext) -> Any:
    return shell_in(context, "logs", running(context), "--timestamps", "--tail=1")


@topic.row("logs --limit-bytes=10", real=(0, "line 1\nlin"), source=SOURCE)
def logs_limit(context: ParityContext) -> Any:
    return shell_in(context, "logs", running(context), "--limit-bytes=10")


@topic.row(
    "logs --previous of a container that never terminated",
    real=(1, containing('previous terminated container "main" in pod "talks" not found')),
    source=SOURCE,
)
def logs_no_previous(context: ParityContext) -> Any:
    return shell_in(context, "logs", running(context), "--previous")


@topic.row(
    "logs of a container whose volume is missing",
    real=(1, containing('container "main" in pod "waits" is waiting to start: ContainerCreating')),
    source=SOURCE,
    within=10,
)
def logs_waiting(context: ParityContext) -> Any:
    return shell_in(context, "logs", waits(context))


@topic.row("logs of a pod without a node", real=(0, ""), source=SOURCE)
def logs_unscheduled(context: ParityContext) -> Any:
    pod(context, "nowhere", POLITE, spec={"nodeSelector": {"parity": "no-such-node"}})
    return shell_in(context, "logs", "nowhere")
