"""Containers that end, fail, wait and are killed: the same reasons, messages and exit codes as on a recorded kubelet."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LOOP = "while :; do sleep 0.2; done"


def main_status(pod: dict[str, Any]) -> dict[str, Any]:
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses") or [{"state": {}, "lastState": {}, "restartCount": 0}]
    return statuses[0]


def terminated(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = main_status(pod)["state"].get("terminated", {})
    return found


def waiting(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = main_status(pod)["state"].get("waiting", {})
    return found


def condition(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((item for item in pod["status"].get("conditions", []) if item["type"] == kind), {})


def phase(pod: dict[str, Any]) -> str:
    return str(pod["status"]["phase"])


def test_ends_and_their_exit_codes(pods: Any) -> None:
    never = {"restartPolicy": "Never"}
    message = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pods.apply(
        pods.pod("zero", "echo bye > /dev/termination-log", spec=never),
        pods.pod("seven", "echo last words; exit 7", spec=never, **message),
        pods.pod("missing", spec=never, command=["/no/such/binary"]),
        pods.pod("not-on-path", spec=never, command=["nosuchcmd"]),
        pods.pod("killed", "kill -KILL $$$$", spec=never),
    )
    zero = pods.until("zero", lambda pod: phase(pod) == "Succeeded")
    assert (terminated(zero)["reason"], terminated(zero)["exitCode"], terminated(zero)["message"]) == ("Completed", 0, "bye\n")
    assert condition(zero, "Ready")["reason"] == "PodCompleted"
    pods.until("zero", lambda pod: condition(pod, "PodReadyToStartContainers").get("message") == "pod sandbox is not ready")
    seven = pods.until("seven", lambda pod: phase(pod) == "Failed")
    assert (terminated(seven)["reason"], terminated(seven)["exitCode"]) == ("Error", 7)
    assert terminated(seven)["message"] == "last words\n"
    missing = pods.until("missing", lambda pod: phase(pod) == "Failed")
    assert (terminated(missing)["reason"], terminated(missing)["exitCode"]) == ("StartError", 128)
    assert terminated(missing)["message"].endswith('exec: "/no/such/binary": stat /no/such/binary: no such file or directory')
    not_on_path = pods.until("not-on-path", lambda pod: phase(pod) == "Failed")
    assert terminated(not_on_path)["message"].endswith('exec: "nosuchcmd": executable file not found in $PATH')
    assert terminated(pods.until("killed", lambda pod: phase(pod) == "Failed"))["exitCode"] == 137


def test_crash_loop_backs_off_and_keeps_the_previous_log(pods: Any) -> None:
    pods.apply(pods.pod("crash", "echo run; exit 7"))
    first = pods.until("crash", lambda pod: waiting(pod).get("reason") == "CrashLoopBackOff")
    uid = first["metadata"]["uid"]
    assert main_status(first)["restartCount"] == 1
    assert waiting(first)["message"] == f"back-off 10s restarting failed container=main pod=crash_{pods.namespace}({uid})"
    assert main_status(first)["lastState"]["terminated"]["exitCode"] == 7
    assert phase(first) == "Running"
    assert pods.run("logs", "crash", "--previous") == "run\n"
    second = pods.until("crash", lambda pod: "back-off 20s" in waiting(pod).get("message", ""), 40)
    ends = [main_status(pod)["lastState"]["terminated"]["finishedAt"] for pod in (first, second)]
    gap = time.mktime(time.strptime(ends[1], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.strptime(ends[0], "%Y-%m-%dT%H:%M:%SZ"))
    assert 10 <= gap < 20, "the first back-off, not the second"
    name = f"crash_{pods.namespace}({uid})"
    pods.until_event("crash", "BackOff", f"Back-off restarting failed container main in pod {name}")


def test_memory_limit(pods: Any) -> None:
    hog = "import time\ndata = b'x' * (200 << 20)\ntime.sleep(60)"
    limits = {"limits": {"memory": "64Mi", "cpu": "1"}}
    pods.apply(
        pods.pod("hog", spec={"restartPolicy": "Never"}, command=["python", "-c", hog], resources=limits),
        pods.pod("modest", LOOP, resources=limits),
    )
    hog_pod = pods.until("hog", lambda pod: phase(pod) == "Failed")
    assert (terminated(hog_pod)["reason"], terminated(hog_pod)["exitCode"]) == ("OOMKilled", 137)
    modest = pods.until("modest", lambda pod: condition(pod, "Ready").get("status") == "True")
    assert main_status(modest)["restartCount"] == 0
    assert modest["status"]["qosClass"] == "Guaranteed"


def test_images_that_cannot_be_had(pods: Any) -> None:
    pods.apply(
        pods.pod("unknown", image="registry.example.invalid/team/app:1"),
        pods.pod("malformed", image="Team/App:1:2"),
        pods.pod("never", image="local/nosuch:1", imagePullPolicy="Never"),
    )
    unknown = pods.until("unknown", lambda pod: waiting(pod).get("reason") == "ImagePullBackOff")
    assert waiting(unknown)["message"].startswith('Back-off pulling image "registry.example.invalid/team/app:1": ErrImagePull: ')
    assert "boring-ops-lab/lab" in waiting(unknown)["message"]
    assert condition(unknown, "PodReadyToStartContainers")["status"] == "True"
    for reason in ("Pulling", "Failed", "BackOff"):
        pods.until_event("unknown", reason, "")
    malformed = pods.until("malformed", lambda pod: waiting(pod).get("reason") == "InvalidImageName")
    assert waiting(malformed)["message"].endswith("invalid reference format: repository name (App) must be lowercase")
    never = pods.until("never", lambda pod: waiting(pod).get("reason") == "ErrImageNeverPull")
    assert waiting(never)["message"] == 'Container image "local/nosuch:1" is not present with pull policy of Never'


def test_a_changed_image(pods: Any) -> None:
    pods.apply(pods.pod("mended", LOOP, image="registry.example.invalid/team/app:1"), pods.pod("newer", LOOP))
    pods.until("mended", lambda pod: waiting(pod).get("reason") == "ImagePullBackOff")
    pods.until("newer", lambda pod: condition(pod, "Ready").get("status") == "True")
    for name in ("mended", "newer"):
        pods.run("set", "image", f"pod/{name}", "main=busybox:2")
    mended = pods.until("mended", lambda pod: condition(pod, "Ready").get("status") == "True")
    assert main_status(mended)["restartCount"] == 0
    newer = pods.until("newer", lambda pod: main_status(pod)["restartCount"] == 1)
    assert main_status(newer)["image"] == "docker.io/library/busybox:2"
    pods.until_event("newer", "Killing", "Container main definition changed, will be restarted")


def test_init_containers_and_a_sidecar(pods: Any) -> None:
    inits: list[dict[str, Any]] = [
        {"name": "i1", "image": "busybox:1", "command": ["sh", "-c", "echo one > /shared/order"]},
        {
            "name": "sc",
            "image": "busybox:1",
            "restartPolicy": "Always",
            "command": ["sh", "-c", f"echo sc >> /shared/order; trap 'exit 0' TERM; {LOOP}"],
            "startupProbe": {"exec": {"command": ["sleep", "0.1"]}, "periodSeconds": 1},
        },
        {"name": "i2", "image": "busybox:1", "command": ["sh", "-c", "echo two >> /shared/order"]},
    ]
    share = [{"name": "work", "mountPath": "/shared"}]
    for container in inits:
        container["volumeMounts"] = share
    shared = {"volumes": [{"name": "work", "emptyDir": {}}], "initContainers": inits}
    failing = [{"name": "i1", "image": "busybox:1", "command": ["sh", "-c", "exit 3"]}]
    pods.apply(
        pods.pod("order", "cat /shared/order; sleep 1", spec=shared | {"restartPolicy": "Never"}, volumeMounts=share),
        pods.pod("init-fails", LOOP, spec={"restartPolicy": "Never", "initContainers": failing}),
        pods.pod("init-loops", LOOP, spec={"initContainers": failing}),
    )
    order = pods.until("order", lambda pod: phase(pod) == "Succeeded")
    assert pods.run("logs", "order", "-c", "main") == "one\nsc\ntwo\n"
    pods.until_event("order", "Killing", "Stopping container sc")
    assert [entry["state"]["terminated"]["exitCode"] for entry in order["status"]["initContainerStatuses"]] == [0, 0, 0]
    failed = pods.until("init-fails", lambda pod: phase(pod) == "Failed")
    assert waiting(failed) == {"reason": "PodInitializing"}
    assert condition(failed, "Initialized")["message"] == "containers with incomplete status: [i1]"
    eventually(lambda: pods.run("get", "pod", "init-loops"), holds=lambda row: "Init:CrashLoopBackOff" in row)
    assert phase(pods.get("init-loops")) == "Pending"


def test_deletion_with_grace(pods: Any) -> None:
    stubborn = "trap '' TERM; " + LOOP
    hooked = {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 1; echo hook > /shared/hook"]}}}}
    volume = {"volumes": [{"name": "shared", "hostPath": {"path": f"/{pods.namespace}"}}]}
    mounts = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    patient = "trap 'cat /shared/hook > /shared/seen; exit 0' TERM; " + LOOP
    pods.apply(
        pods.pod("stubborn", stubborn, spec={"terminationGracePeriodSeconds": 4}),
        pods.pod("hooked", patient, spec=volume, **hooked, **mounts),
        pods.pod("forced", stubborn, spec={"terminationGracePeriodSeconds": 30}),
    )
    for name in ("stubborn", "hooked", "forced"):
        pods.until(name, lambda pod: condition(pod, "Ready").get("status") == "True")
    begun = time.monotonic()
    pods.run("delete", "pod", "forced", "--grace-period=0", "--force")
    assert time.monotonic() - begun < 15, "its 30 s are not waited for"
    node = pods.get("hooked")["spec"]["nodeName"]
    begun = time.monotonic()
    pods.run("delete", "pod", "hooked", "--wait=true")
    assert time.monotonic() - begun >= 1, "the hook's second"
    pods.apply(pods.pod("look", "cat /shared/seen", spec=volume | {"restartPolicy": "Never", "nodeName": node}, **mounts))
    pods.until("look", lambda pod: phase(pod) == "Succeeded")
    assert pods.run("logs", "look") == "hook\n"
    begun = time.monotonic()
    pods.run("delete", "pod", "stubborn", "--wait=true")
    assert time.monotonic() - begun >= 4, "its grace"
    pods.until_event("stubborn", "Killing", "Stopping container main")


def test_active_deadline(pods: Any) -> None:
    pods.apply(pods.pod("late", LOOP, spec={"activeDeadlineSeconds": 2}))
    late = pods.until("late", lambda pod: phase(pod) == "Failed")
    assert late["status"]["reason"] == "DeadlineExceeded"
    assert late["status"]["message"] == "Pod was active on the node longer than the specified deadline"


def test_too_big_for_the_node_it_names(pods: Any) -> None:
    spec = {"nodeName": "app-worker"}
    pods.apply(pods.pod("big", LOOP, spec=spec, resources={"requests": {"cpu": "1000"}}))
    big = pods.until("big", lambda pod: phase(pod) == "Failed")
    assert big["status"]["reason"] == "OutOfcpu"
    assert big["status"]["message"].startswith(
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: "
    )
    assert "containerStatuses" not in big["status"]


def test_failing_post_start_hook(pods: Any) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo psout; echo pserr >&2; exit 3"]}}}
    pods.apply(pods.pod("hook", f"trap 'exit 0' TERM; {LOOP}", lifecycle=hook))
    pods.until_event("hook", "FailedPostStartHook", "PostStartHook failed")
    pods.until_event("hook", "Killing", "FailedPostStartHook")
    pod = pods.until("hook", lambda pod: waiting(pod).get("reason") == "PostStartHookError")
    assert "exited with 3: pserr" in waiting(pod)["message"]
