"""Init containers and sidecars."""

from __future__ import annotations

from typing import Any

from tests.parity.context import Object, ParityContext, condition
from tests.parity.pods import LOOP, POLITE, SHELL, event_messages, pod, shell_in, waiting
from tests.parity.rows import Topic

topic = Topic("kubelet_init", "kubelet", "Init containers and sidecars")
SOURCE = "05-init-sidecar.txt"


def container(name: str, script: str, **fields: Any) -> Object:
    return {"name": name, "image": SHELL, "command": ["sh", "-c", script], **fields}


FAILING = [container("i1", "exit 3"), container("i2", "exit 0")]


def fails(context: ParityContext, policy: str) -> Object:
    return pod(context, f"init-{policy.lower()}", LOOP, spec={"restartPolicy": policy, "initContainers": FAILING})


@topic.row(
    "an init container that exits with 3 under restartPolicy Never: the pod, and what main waits for",
    real={"phase": "Failed", "waiting": {"reason": "PodInitializing"}},
    source=SOURCE,
    within=20,
)
def init_fails(context: ParityContext) -> Any:
    found = fails(context, "Never")
    return {"phase": found["status"].get("phase"), "waiting": waiting(found)}


@topic.row(
    "the pod's condition Initialized at that point",
    real={"status": "False", "reason": "ContainersNotInitialized", "message": "containers with incomplete status: [i1 i2]"},
    source=SOURCE,
    within=20,
)
def not_initialized(context: ParityContext) -> Any:
    found = condition(fails(context, "Never"), "Initialized")
    return {name: found.get(name) for name in ("status", "reason", "message")}


@topic.row("STATUS that kubectl shows for it", real="Init:Error", source=SOURCE, within=20)
def status_of_a_failed_init(context: ParityContext) -> Any:
    fails(context, "Never")
    return shell_in(context, "get", "pod", "init-never", "--no-headers")[1].split()[2]


@topic.row(
    "the same under restartPolicy Always: STATUS and phase",
    real={"STATUS": "Init:CrashLoopBackOff", "phase": "Pending"},
    source=SOURCE,
    within=40,
)
def init_loops(context: ParityContext) -> Any:
    found = fails(context, "Always")
    return {
        "STATUS": shell_in(context, "get", "pod", "init-always", "--no-headers")[1].split()[2],
        "phase": found["status"]["phase"],
    }


def with_sidecar(context: ParityContext) -> Object:
    """A sidecar between two init containers: each writes its name to a file all share."""
    mount = {"volumeMounts": [{"name": "work", "mountPath": "/shared"}]}
    probe = {"exec": {"command": ["test", "-e", "/shared/started"]}, "periodSeconds": 1}
    script = f"trap 'exit 0' TERM; sleep 1; echo sidecar >> /shared/order; touch /shared/started; {LOOP}"
    inits = [
        container("i1", "echo one > /shared/order", **mount),
        container("sidecar", script, restartPolicy="Always", startupProbe=probe, **mount),
        container("i2", "echo two >> /shared/order", **mount),
    ]
    spec = {"restartPolicy": "Never", "initContainers": inits, "volumes": [{"name": "work", "emptyDir": {}}]}
    return pod(context, "sidecar", "cat /shared/order; sleep 4", spec=spec, **mount)


@topic.row("order of init, sidecar with a startup probe, init, main", real=["one", "sidecar", "two"], source=SOURCE, within=25)
def order_of_starts(context: ParityContext) -> Any:
    with_sidecar(context)
    return shell_in(context, "logs", "sidecar", "-c", "main")[1].split()


@topic.row("READY that kubectl shows while both run", real="2/2", source=SOURCE, within=25)
def ready_counts_the_sidecar(context: ParityContext) -> Any:
    stays = [container("sidecar", POLITE, restartPolicy="Always")]
    pod(context, "two-of-two", POLITE, spec={"initContainers": stays})
    return shell_in(context, "get", "pod", "two-of-two", "--no-headers")[1].split()[1]


@topic.row(
    "what ends a sidecar when the main container has finished, and the pod's phase",
    real={"Killing": ["Stopping container sidecar"], "phase": "Succeeded"},
    source=SOURCE,
    within=30,
)
def end_of_a_sidecar(context: ParityContext) -> Any:
    found = with_sidecar(context)
    return {"Killing": event_messages(context, "sidecar", "Killing"), "phase": found["status"].get("phase")}
