"""How pods begin and end: phases, reasons, exit codes, back-off."""

from __future__ import annotations

from typing import Any

from tests.parity.context import ParityContext, condition, events
from tests.parity.expect import Between, Text, including
from tests.parity.pods import LOOP, POLITE, end, ended, event_messages, main_status, pod, shell_in, space, waiting
from tests.parity.rows import Topic

topic = Topic("kubelet_life", "kubelet", "How pods begin and end")
NEVER = {"restartPolicy": "Never"}
ENDS = "02-exit-codes-backoff.txt"
COMMANDS = "10-command-errors.txt"


@topic.row(
    "events of a pod whose image is present, from its creation until it runs",
    real=["Scheduled", "Pulled", "Created", "Started"],
    source="01-running.txt",
    within=20,
)
def events_of_a_start(context: ParityContext) -> Any:
    pod(context, "runs", POLITE)
    order = ["Scheduled", "Pulled", "Created", "Started"]
    seen = {event["reason"] for event in events(context, space(context), "runs")}
    return [reason for reason in order if reason in seen] + sorted(seen - set(order) - {"Pulling"})


@topic.row(
    "conditions of a pod that runs and has no probes",
    real=dict.fromkeys(["Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready", "PodScheduled"], "True"),
    source="01-running.txt",
    within=20,
)
def conditions_of_a_running_pod(context: ParityContext) -> Any:
    return {row["type"]: row["status"] for row in pod(context, "runs", POLITE)["status"].get("conditions") or []}


@topic.row(
    "event texts of a start name neither the container nor its id",
    real={"Created": "Container created", "Started": "Container started"},
    source="01-running.txt",
    within=20,
)
def texts_of_a_start(context: ParityContext) -> Any:
    pod(context, "runs", POLITE)
    found = events(context, space(context), "runs")
    return {event["reason"]: event["message"] for event in found if event["reason"] in ("Created", "Started")}


@topic.row(
    "exit 0 under restartPolicy Never",
    real={"phase": "Succeeded", "reason": "Completed", "exit code": 0},
    source=ENDS,
    within=20,
)
def exit_zero(context: ParityContext) -> Any:
    return end(pod(context, "zero", "exit 0", spec=NEVER))


@topic.row(
    "exit 7 under restartPolicy Never",
    real={"phase": "Failed", "reason": "Error", "exit code": 7},
    source=ENDS,
    within=20,
)
def exit_seven(context: ParityContext) -> Any:
    return end(pod(context, "seven", "exit 7", spec=NEVER))


@topic.row(
    "conditions of a pod that has succeeded",
    real={"Ready": "PodCompleted", "ContainersReady": "PodCompleted", "PodReadyToStartContainers": "pod sandbox is not ready"},
    source=ENDS,
    within=20,
)
def conditions_of_an_ended_pod(context: ParityContext) -> Any:
    found = pod(context, "zero", "exit 0", spec=NEVER)
    reasons = {kind: condition(found, kind).get("reason") for kind in ("Ready", "ContainersReady")}
    return reasons | {"PodReadyToStartContainers": condition(found, "PodReadyToStartContainers").get("message")}


@topic.row(
    "exit 7 repeatedly under restartPolicy Always: what the container waits for after its first restart",
    real={
        "reason": "CrashLoopBackOff",
        "message": Text("back-off 10s restarting failed container=main pod=crash_.*"),
        "restarts": 1,
        "phase": "Running",
        "last exit code": 7,
    },
    source=ENDS,
    within=45,
)
def crash_loop(context: ParityContext) -> Any:
    found = pod(context, "crash", "echo run; exit 7")
    if waiting(found).get("reason") != "CrashLoopBackOff" or main_status(found)["restartCount"] > 1:
        return {"reason": waiting(found).get("reason"), "restarts": main_status(found)["restartCount"]}
    return {
        **waiting(found),
        "restarts": main_status(found)["restartCount"],
        "phase": found["status"]["phase"],
        "last exit code": ended(found, last=True).get("exitCode"),
    }


@topic.row("event of a back-off", real=including("BackOff"), source=ENDS, within=45)
def event_of_a_back_off(context: ParityContext) -> Any:
    pod(context, "crash", "echo run; exit 7")
    return sorted({event["reason"] for event in events(context, space(context), "crash")})


@topic.row(
    "a command that is not a file",
    real={"phase": "Failed", "reason": "StartError", "exit code": 128},
    source=COMMANDS,
    within=20,
)
def command_is_no_file(context: ParityContext) -> Any:
    return end(pod(context, "no-file", spec=NEVER, command=["/no/such/binary"]))


@topic.row(
    "message of a command that is not on the PATH",
    real=Text('failed to create containerd task: .*: exec: "nosuchcmd": executable file not found in \\$PATH'),
    source=COMMANDS,
    within=20,
)
def command_is_not_on_the_path(context: ParityContext) -> Any:
    return ended(pod(context, "no-path", spec=NEVER, command=["nosuchcmd"])).get("message")


@topic.row(
    "what a container that cannot start waits for under restartPolicy Always, and the pod's phase",
    real={"reason": Text("RunContainerError|CrashLoopBackOff"), "phase": "Running"},
    source=COMMANDS,
    within=20,
)
def cannot_start_and_always(context: ParityContext) -> Any:
    found = pod(context, "no-path-always", command=["nosuchcmd"])
    return {"reason": waiting(found).get("reason"), "phase": found["status"].get("phase")}


@topic.row("exit code of a shell that does not find the command", real=127, source=COMMANDS, within=20)
def shell_finds_no_command(context: ParityContext) -> Any:
    return end(pod(context, "not-found", "nosuchcmd", spec=NEVER))["exit code"]


@topic.row("a working directory that the image does not have: the container", real="Succeeded", source=COMMANDS, within=20)
def missing_working_directory(context: ParityContext) -> Any:
    return pod(context, "no-dir", "exit 0", spec=NEVER, workingDir="/tmp/parity/not/there")["status"].get("phase")


@topic.row(
    "runAsNonRoot with an image whose user is root: what the container waits for",
    real="CreateContainerConfigError",
    source=COMMANDS,
    within=6,
)
def root_is_refused(context: ParityContext) -> Any:
    return waiting(pod(context, "root", LOOP, securityContext={"runAsNonRoot": True})).get("reason")


@topic.row(
    "a container that uses more memory than its limit",
    real={"phase": "Failed", "reason": "OOMKilled", "exit code": 137},
    source="06-oom.txt",
    within=25,
)
def out_of_memory(context: ParityContext) -> Any:
    return end(pod(context, "hog", "head -c 200m /dev/zero | tail", spec=NEVER, resources={"limits": {"memory": "64Mi"}}))


@topic.row("events Killing or OOM about a container out of memory", real=[], source="06-oom.txt")
def no_event_of_out_of_memory(context: ParityContext) -> Any:
    out_of_memory(context)
    return event_messages(context, "hog", "Killing") + event_messages(context, "hog", "OOMKilling")


@topic.row(
    "activeDeadlineSeconds 2",
    real={
        "phase": "Failed",
        "reason": "DeadlineExceeded",
        "message": "Pod was active on the node longer than the specified deadline",
    },
    source="12-active-deadline.txt",
    within=25,
)
def active_deadline(context: ParityContext) -> Any:
    status = pod(context, "late", POLITE, spec={"activeDeadlineSeconds": 2})["status"]
    return {name: status.get(name) for name in ("phase", "reason", "message")}


@topic.row(
    "a postStart hook that exits with 3",
    real={"FailedPostStartHook": ["PostStartHook failed"], "Killing": ["FailedPostStartHook"]},
    source="13-poststart.txt",
    within=20,
)
def post_start_fails(context: ParityContext) -> Any:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo psout; echo pserr >&2; exit 3"]}}}
    pod(context, "post-start", POLITE, lifecycle=hook)
    return {reason: event_messages(context, "post-start", reason)[:1] for reason in ("FailedPostStartHook", "Killing")}


@topic.row(
    "a pod that asks for more than all nodes have",
    real={"status": "False", "reason": "Unschedulable", "message": Text("0/\\d+ nodes are available: .*Insufficient cpu.*")},
    source="11-unschedulable.txt",
    within=15,
)
def unschedulable(context: ParityContext) -> Any:
    found = condition(pod(context, "too-big", POLITE, resources={"requests": {"cpu": "1000"}}), "PodScheduled")
    return {name: found.get(name) for name in ("status", "reason", "message")}


@topic.row(
    "a pod bound to a node that is too small for it",
    real={
        "phase": "Failed",
        "reason": "OutOfcpu",
        "message": Text("Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: .*"),
    },
    source="11-unschedulable.txt",
    within=15,
)
def too_big_for_its_node(context: ParityContext) -> Any:
    node = context.once("a node", lambda: shell_in(context, "get", "nodes", "-o", "name")[1].split()[-1].removeprefix("node/"))
    status = pod(context, "named", POLITE, spec={"nodeName": node}, resources={"requests": {"cpu": "1000"}})["status"]
    return {name: status.get(name) for name in ("phase", "reason", "message")}


@topic.row(
    "seconds between the end of a container and its start after the first back-off of 10 s",
    real=Between(10, 20, "s"),
    source=ENDS,
    within=60,
)
def first_back_off(context: ParityContext) -> Any:
    found = pod(context, "crash-timed", "date +%s; exit 7")
    if main_status(found)["restartCount"] < 2:
        return None
    before, after = shell_in(context, "logs", "crash-timed", "--previous"), shell_in(context, "logs", "crash-timed")
    first = context.once("first back-off", lambda: (before, after))
    return int(first[1][1]) - int(first[0][1])
